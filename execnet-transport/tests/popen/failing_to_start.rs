use super::*;

async fn fault(popen: Popen) -> (SpawnFault, String) {
    let error = watchdog(popen.connect()).await.unwrap_err();
    assert_eq!(error.stage(), Stage::Spawn);
    assert_eq!((error.fault(), error.is_caller_fault()), (Fault::Caller, true));
    assert!(std::error::Error::source(&error).is_some());
    let text = error.to_string();
    match error {
        ConnectError::Spawn { fault, .. } => (fault, text),
        other => panic!("{other:?}"),
    }
}

/// Puts a file there, with these permissions.
fn file(path: &Path, content: &[u8], mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, content).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn no_arguments_at_all() {
    let (fault, _) = fault(Popen::new([""; 0])).await;
    assert_eq!(fault, SpawnFault::EmptyArgv);
}

#[tokio::test]
async fn a_nul_byte() {
    for popen in [
        Popen::new(["a\0b"]),
        Popen::new(["cat", "a\0b"]),
        Popen::new(["cat"]).env("A", "b\0"),
        Popen::new(["cat"]).current_dir("\0"),
    ] {
        assert_eq!(fault(popen).await.0, SpawnFault::NulByte);
    }
}

#[tokio::test]
async fn a_program_that_is_nowhere() {
    let (found, text) = fault(Popen::new(["no-such-program-anywhere"])).await;
    assert_eq!(found, SpawnFault::NotOnPath);
    assert!(text.contains("no-such-program-anywhere") && text.contains("PATH"), "{text}");
    let (found, _) = fault(Popen::new(["cat"]).env("PATH", "/no/such/place")).await;
    assert_eq!(found, SpawnFault::NotOnPath);
    assert_eq!(fault(Popen::new([""])).await.0, SpawnFault::NotOnPath);
}

#[tokio::test]
async fn a_path_that_leads_nowhere() {
    for path in ["/no/such/program", "./no-such-program", "/dev/null/program"] {
        assert_eq!(fault(Popen::new([path])).await.0, SpawnFault::NoSuchFile, "{path}");
    }
}

#[tokio::test]
async fn files_that_are_no_programs() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    file(&place.join("text"), b"hello", 0o644);
    file(&place.join("orphan"), b"#!/no/such/interpreter\n", 0o755);
    file(&place.join("noise"), b"\x7fELF and then nothing of the kind", 0o755);
    let cases = [
        ("./text", SpawnFault::NotExecutable),
        ("./orphan", SpawnFault::NoInterpreter),
        ("./noise", SpawnFault::BadFormat),
        (".", SpawnFault::NotExecutable),
    ];
    for (program, expected) in cases {
        let here = Popen::new([program]).current_dir(place);
        assert_eq!(fault(here).await.0, expected, "{program}");
    }
    let path = Popen::new([place.join("orphan")]);
    assert_eq!(fault(path).await.0, SpawnFault::NoInterpreter);
}

#[tokio::test]
async fn a_directory_that_cannot_be_entered() {
    for place in ["/no/such/place", "/dev/null"] {
        let (fault, text) = fault(Popen::new(["cat"]).current_dir(place)).await;
        assert_eq!(fault, SpawnFault::Directory(place.into()));
        assert!(text.contains(place), "{text}");
    }
}

#[tokio::test]
async fn too_much_of_it() {
    let long = "x".repeat(8 << 20);
    assert_eq!(fault(Popen::new(["cat".to_owned(), long])).await.0, SpawnFault::TooLong);
}
