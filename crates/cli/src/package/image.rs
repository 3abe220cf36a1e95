//! A container image without a container engine: an OCI image layout in a tar.
//!
//! Written by hand, for the four documents of it are shorter than calls of a library that keeps labels in a map
//! without an order. <https://github.com/opencontainers/image-spec/blob/main/image-layout.md>

use std::io::{self, Write as _};

use flate2::{Compression, GzBuilder};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::certificates;
use super::commit::Commit;
use super::file::{EXECUTABLE, PackedFile};
use super::size::{IMAGE_LIMIT, Megabytes};
use super::workspace::Agent;

/// The agent in the image, under one name whichever it is: `deploy/Dockerfile` names it too.
pub(super) const PROGRAM: &str = "agent";

/// Nobody in particular, and not root.
const USER: &str = "65532:65532";

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIGURATION: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Why there is no image.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImageError {
    #[error("the image of {agent} has {size}, and {IMAGE_LIMIT} are allowed; build a smaller agent")]
    TooLarge { agent: String, size: Megabytes },
    #[error("the image cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// The image of `agent` as a tar, from the files of its root file system.
pub(super) fn image(agent: &Agent, files: &[PackedFile<'_>], commit: &Commit) -> Result<Vec<u8>, ImageError> {
    let size = Megabytes::new(files.iter().map(|file| file.bytes.len() as u64).sum());
    if size > IMAGE_LIMIT {
        return Err(ImageError::TooLarge { agent: agent.name.clone(), size });
    }
    let layer = layer(files, commit.date)?;
    let compressed = Blob::new(LAYER, gzipped(&layer)?);
    let configuration = Blob::document(CONFIGURATION, &configuration(agent, commit, &digest(&layer)));
    let manifest = Blob::document(
        MANIFEST,
        &json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": configuration.descriptor(),
            "layers": [compressed.descriptor()],
        }),
    );
    let index = index(agent, &manifest);
    Ok(layout(&index, &mut [configuration, compressed, manifest], commit.date)?)
}

/// Folders come before what is in them; `/tmp` is for whom the image runs as.
fn layer(files: &[PackedFile<'_>], date: Timestamp) -> io::Result<Vec<u8>> {
    let mut tar = Tar::new(date);
    for (folder, mode) in [("etc/", 0o755), ("etc/ssl/", 0o755), ("etc/ssl/certs/", 0o755), ("tmp/", 0o1777)] {
        tar.folder(folder, mode)?;
    }
    for file in files {
        tar.file(file.path, file.mode, file.bytes)?;
    }
    tar.finish()
}

fn configuration(agent: &Agent, commit: &Commit, layer: &str) -> Value {
    let created = commit.date.to_string();
    let labels = labels(agent, commit, &created);
    json!({
        "created": created,
        "architecture": "arm64",
        "os": "linux",
        "config": {
            "User": USER,
            "ExposedPorts": { "8080/tcp": {} },
            "Env": [format!("SSL_CERT_FILE=/{}", certificates::PATH)],
            "Entrypoint": [format!("/{PROGRAM}")],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [layer] },
        "history": [{ "created": created, "created_by": "vitracka package" }],
    })
}

/// The names are the specification's own.
fn labels(agent: &Agent, commit: &Commit, created: &str) -> Value {
    let known = [
        ("title", Some(&agent.name)),
        ("description", agent.description.as_ref()),
        ("version", Some(&agent.version)),
        ("licenses", agent.license.as_ref()),
        ("source", agent.repository.as_ref()),
        ("revision", commit.revision.as_ref()),
        ("created", Some(&created.to_owned())),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((format!("org.opencontainers.image.{name}"), value?.clone().into())))
    .collect();
    Value::Object(known)
}

/// Both names by which engines find an image in a layout.
fn index(agent: &Agent, manifest: &Blob) -> Value {
    let mut descriptor = manifest.descriptor();
    descriptor["platform"] = json!({ "architecture": "arm64", "os": "linux" });
    descriptor["annotations"] = json!({
        "io.containerd.image.name": format!("{}:{}", agent.name, agent.version),
        "org.opencontainers.image.ref.name": agent.version,
    });
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [descriptor],
    })
}

fn layout(index: &Value, blobs: &mut [Blob], date: Timestamp) -> io::Result<Vec<u8>> {
    blobs.sort_by(|one, other| one.digest.cmp(&other.digest));
    let mut tar = Tar::new(date);
    tar.file("oci-layout", 0o644, br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    tar.file("index.json", 0o644, index.to_string().as_bytes())?;
    tar.folder("blobs/", EXECUTABLE)?;
    tar.folder("blobs/sha256/", EXECUTABLE)?;
    for blob in blobs {
        tar.file(&format!("blobs/{}", blob.digest.replace(':', "/")), 0o644, &blob.bytes)?;
    }
    tar.finish()
}

fn gzipped(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    gzip.write_all(bytes)?;
    gzip.finish()
}

fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// A part of the image, found by its digest.
struct Blob {
    media_type: &'static str,
    digest: String,
    bytes: Vec<u8>,
}

// === impl Blob ===

impl Blob {
    fn new(media_type: &'static str, bytes: Vec<u8>) -> Self {
        Self { media_type, digest: digest(&bytes), bytes }
    }

    fn document(media_type: &'static str, document: &Value) -> Self {
        Self::new(media_type, document.to_string().into_bytes())
    }

    fn descriptor(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.bytes.len() })
    }
}

/// A tar whose entries are root's and of one date.
struct Tar {
    builder: Builder<Vec<u8>>,
    date: Timestamp,
}

// === impl Tar ===

impl Tar {
    fn new(date: Timestamp) -> Self {
        Self { builder: Builder::new(Vec::new()), date }
    }

    fn folder(&mut self, path: &str, mode: u32) -> io::Result<()> {
        self.entry(path, EntryType::Directory, mode, &[])
    }

    fn file(&mut self, path: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
        self.entry(path, EntryType::Regular, mode, bytes)
    }

    fn entry(&mut self, path: &str, kind: EntryType, mode: u32, bytes: &[u8]) -> io::Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        // No date of a zip is before 1970.
        header.set_mtime(self.date.as_second().unsigned_abs());
        header.set_size(bytes.len() as u64);
        self.builder.append_data(&mut header, path, bytes)
    }

    fn finish(self) -> io::Result<Vec<u8>> {
        self.builder.into_inner()
    }
}
