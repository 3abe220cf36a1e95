//! Whether a call has left. rmcp tells of a connection that ends only that it has ended, be a request on its way or
//! still in the queue; one that never left may be sent again over the next connection, one that left may not.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rmcp::RoleClient;
use rmcp::model::{Extensions, GetExtensions as _, JsonRpcMessage};
use rmcp::service::{RxJsonRpcMessage, TxJsonRpcMessage};
use rmcp::transport::Transport;

/// Goes with a request, and tells who keeps the other half that it was handed to the transport.
#[derive(Debug, Clone, Default)]
pub(crate) struct Departure(Arc<AtomicBool>);

/// A transport that notes of each request that has a [`Departure`] when it leaves.
pub(crate) struct Departing<T>(pub(crate) T);

// === impl Departure ===

impl Departure {
    /// Sends this along with a request; extensions are for this process alone and are not written on any wire.
    pub(crate) fn go_with(&self, extensions: &mut Extensions) {
        extensions.insert(self.clone());
    }

    /// Whether the request may have reached the server.
    pub(crate) fn has_left(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

// === impl Departing ===

impl<T: Transport<RoleClient>> Transport<RoleClient> for Departing<T> {
    type Error = T::Error;

    fn name() -> Cow<'static, str> {
        T::name()
    }

    fn send(
        &mut self,
        message: TxJsonRpcMessage<RoleClient>,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send + 'static {
        if let JsonRpcMessage::Request(request) = &message
            && let Some(departure) = request.request.extensions().get::<Departure>()
        {
            departure.0.store(true, Ordering::SeqCst);
        }
        self.0.send(message)
    }

    fn receive(&mut self) -> impl Future<Output = Option<RxJsonRpcMessage<RoleClient>>> + Send {
        self.0.receive()
    }

    fn close(&mut self) -> impl Future<Output = Result<(), Self::Error>> + Send {
        self.0.close()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use rmcp::model::{CallToolRequest, CallToolRequestParams, ClientRequest};
    use rmcp::service::{PeerRequestOptions, serve_directly};
    use tokio::sync::Notify;

    use super::*;

    /// A server that takes what it is sent, and ends step by step: nothing more comes from it, then it is gone.
    #[derive(Clone, Default)]
    struct Dying {
        says_no_more: Arc<Notify>,
        closing: Arc<Notify>,
        is_gone: Arc<Notify>,
    }

    impl Transport<RoleClient> for Dying {
        type Error = Infallible;

        fn send(
            &mut self,
            _message: TxJsonRpcMessage<RoleClient>,
        ) -> impl Future<Output = Result<(), Infallible>> + Send + 'static {
            std::future::ready(Ok(()))
        }

        async fn receive(&mut self) -> Option<RxJsonRpcMessage<RoleClient>> {
            self.says_no_more.notified().await;
            None
        }

        async fn close(&mut self) -> Result<(), Infallible> {
            self.closing.notify_one();
            self.is_gone.notified().await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_call_that_a_closing_connection_swallows_has_not_left() {
        let server = Dying::default();
        let service = serve_directly((), Departing(server.clone()), None);
        let call = async || {
            let (mut request, departure) =
                (CallToolRequest::new(CallToolRequestParams::new("stir")), Departure::default());
            departure.go_with(&mut request.extensions);
            let request = ClientRequest::CallToolRequest(request);
            let sent = service.peer().send_request_with_option(request, PeerRequestOptions::no_options()).await;
            (sent.expect("the connection takes it"), departure)
        };
        let (under_way, sent) = call().await;
        while !sent.has_left() {
            tokio::task::yield_now().await;
        }

        server.says_no_more.notify_one();
        server.closing.notified().await;
        let (swallowed, kept) = call().await;
        server.is_gone.notify_one();

        assert!(under_way.rx.await.is_err() && swallowed.rx.await.is_err(), "rmcp says the same of both");
        assert_eq!((sent.has_left(), kept.has_left()), (true, false));
    }
}
