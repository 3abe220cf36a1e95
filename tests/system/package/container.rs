//! The image: read by skopeo, unpacked by umoci, run from its own root, and the same as `deploy/Dockerfile`'s.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::arm64::arm64_in;
use super::{answers, has, lacking, made, read};
use crate::agent::{Agent, agent_environment};
use crate::foreign::repository;
use crate::local_aws::LocalAws;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The image unpacked, as an engine does before it runs one.
struct Unpacked {
    folder: TempDir,
}

// === impl Unpacked ===

impl Unpacked {
    fn of(coach: &Path) -> Option<Self> {
        if !has("skopeo") || !has("umoci") {
            return lacking("images are read by skopeo and umoci; install both");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let layout = folder.path().join("layout");
        let archive = format!("oci-archive:{}", coach.join("image.tar").display());
        let copy = format!("oci:{}:{VERSION}", layout.display());
        // Copying checks every digest and size.
        said(Command::new("skopeo").args(["copy", "--insecure-policy", &archive, &copy]));
        let image = format!("{}:{VERSION}", layout.display());
        said(Command::new("umoci").args(["unpack", "--rootless", "--image", &image]).arg(folder.path().join("bundle")));
        Some(Self { folder })
    }

    fn root(&self) -> std::path::PathBuf {
        self.folder.path().join("bundle/rootfs")
    }
}

fn said(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}\n{}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).expect("text")
}

/// The image's configuration, as skopeo reads it.
fn configuration(coach: &Path) -> Value {
    let archive = format!("oci-archive:{}", coach.join("image.tar").display());
    let text = said(Command::new("skopeo").args(["inspect", "--config", &archive]));
    serde_json::from_str(&text).expect("a configuration is JSON")
}

#[test]
fn the_image_is_for_arm64_runs_as_nobody_and_tells_its_commit() {
    let Some(coach) = made::coach() else { return };
    if Unpacked::of(&coach).is_none() {
        return;
    }
    let image = configuration(&coach);
    assert_eq!((&image["architecture"], &image["os"]), (&json!("arm64"), &json!("linux")));
    let config = &image["config"];
    assert_eq!(config["User"], "65532:65532");
    assert_eq!(config["ExposedPorts"], json!({ "8080/tcp": {} }));
    assert_eq!(config["Entrypoint"], json!(["/agent"]));
    let labels = &config["Labels"];
    assert_eq!(labels["org.opencontainers.image.title"], "coach_companion");
    assert_eq!(labels["org.opencontainers.image.version"], VERSION);
    let commit = Command::new("git").arg("-C").arg(repository()).args(["rev-parse", "HEAD"]).output();
    let commit = commit.ok().filter(|output| output.status.success()).map(|output| output.stdout);
    let commit = commit.map(|text| String::from_utf8(text).expect("text").trim().to_owned());
    let revision = labels["org.opencontainers.image.revision"].as_str().map(|text| text.trim_end_matches("-dirty"));
    assert_eq!(revision, commit.as_deref(), "the commit, or nothing where sources are not in git's keeping");
}

#[test]
fn from_an_empty_root_it_answers_and_resolves_names() {
    let Some(coach) = made::coach() else { return };
    let Some(image) = Unpacked::of(&coach) else { return };
    let root = image.root();
    assert_eq!(listed(&root), ["agent", "etc", "tmp"]);
    // Engines lay this into every container, and it is the only place where the name is to be found.
    fs::write(root.join("etc/hosts"), "127.0.0.1 localhost\n").expect("a file");
    let Some(mut command) = arm64_in(&root, "/agent") else { return };
    let aws = LocalAws::start();
    agent_environment(&mut command, &format!("http://localhost:{}", aws.port()), &[]);
    command.env("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt");
    answers(&Agent::start_command("the coach from its image", command));
}

#[test]
fn the_authorities_are_a_bundle_that_others_can_read() {
    let Some(coach) = made::coach() else { return };
    let bundle = coach.join("image/etc/ssl/certs/ca-certificates.crt");
    let count = "import ssl, sys; print(len(ssl.create_default_context(cafile=sys.argv[1]).get_ca_certs()))";
    let count: usize = said(Command::new("python3").args(["-c", count]).arg(&bundle)).trim().parse().expect("a number");
    let whole = String::from_utf8(read(&bundle)).expect("PEM is text");
    assert_eq!(count, whole.matches("BEGIN CERTIFICATE").count());
    assert!(count > 50, "{count}");
}

/// The Dockerfile is for those who have Docker, which a test cannot ask for; it must not say another thing.
#[test]
fn the_dockerfile_makes_the_same_image() {
    let Some(coach) = made::coach() else { return };
    let Some(image) = Unpacked::of(&coach) else { return };
    assert_eq!(listed(&coach.join("image")), listed(&image.root()));
    assert!(read(&coach.join("image/agent")) == read(&image.root().join("agent")));
    let config = &configuration(&coach)["config"];
    let dockerfile = fs::read_to_string(repository().join("deploy/Dockerfile")).expect("it is there");
    let instructions: Vec<&str> =
        dockerfile.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()).collect();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let port = config["ExposedPorts"].as_object().and_then(|ports| ports.keys().next()).expect("a port");
    assert_eq!(
        instructions,
        [
            "FROM scratch".to_owned(),
            "COPY --chown=0:0 image/ /".to_owned(),
            format!("ENV {}", text(&config["Env"][0])),
            format!("USER {}", text(&config["User"])),
            format!("EXPOSE {port}"),
            format!("ENTRYPOINT {}", config["Entrypoint"]),
        ]
    );
}

fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let mut names: Vec<_> = entries.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}
