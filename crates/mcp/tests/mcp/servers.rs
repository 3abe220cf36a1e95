//! Where the servers nobody here wrote are, installed with what they need.

use std::path::PathBuf;

use crate::foreign::{node, python, tests};

/// The interpreter that has MCP's official SDK, and the script that is a server of it.
pub(crate) fn kitchen() -> (PathBuf, PathBuf) {
    let interpreter = python::interpreter("mcp", &tests("requirements-mcp.txt"));
    (interpreter, tests("foreign").join("mcp_server.py"))
}

/// MCP's own example server, which has something of everything, as a script for `node`.
pub(crate) fn everything() -> PathBuf {
    let modules = node::installed("mcp-everything", &tests("mcp-everything")).join("node_modules");
    modules.join("@modelcontextprotocol/server-everything/dist/index.js")
}
