//! Start, stop and completion of apps.

use std::fs;
use std::time::Duration;

use crate::support::{Content, PATIENCE, address, finish, known_peers, start, tracker, url, wait_until};
use torrent_client::{
    App, AppError, Completion, Ended, Options, Phase, SessionError, SetupError, StorageError,
    create_metainfo_file,
};

#[test]
fn an_app_can_be_stopped_and_started_again() {
    let tracker = tracker("127.0.0.1:0");
    let content = Content::new(&[url(&tracker)]);
    let app = content.seed(|_| {});
    assert!(matches!(app.start(), Err(AppError::Running)));
    finish(&app);
    wait_until("started", || known_peers(&tracker) == 1);
    assert_eq!(app.stop(PATIENCE).unwrap(), Ended::Stopped);
    assert_eq!(known_peers(&tracker), 0);
    assert!(matches!(app.check_completion(), Err(AppError::NotRunning)));
    assert_eq!(app.stop(PATIENCE).unwrap(), Ended::Stopped, "a second stop changes nothing");

    app.start().unwrap();
    wait_until("started again", || known_peers(&tracker) == 1);
    app.kill();
    assert_eq!(known_peers(&tracker), 1, "`stopped` was not announced");
    app.kill();

    app.start().unwrap();
    wait_until("announced", || app.status().announced > 0);
    drop(app);
    assert_eq!(known_peers(&tracker), 1, "a killed app announces nothing");
}

#[test]
fn wait_completion_distinguishes_progress_from_a_timeout() {
    let content = Content::new(&[]);
    let app = content.download("copy", |_| {});
    wait_until("the check", || app.status().phase == Phase::Downloading);
    let completion = app.wait_completion(Duration::from_millis(50)).unwrap();
    assert!(matches!(completion, Completion::TimedOut(status) if status.have == 0), "{completion:?}");
    assert!(matches!(app.check_completion().unwrap(), Completion::Progress(_)));

    let seeder = content.seed(|options| options.upload_rate = Some(200 << 10));
    let app = content.download("other", |options| options.peers = vec![address(&seeder)]);
    let completion = app.wait_completion(Duration::from_secs(2)).unwrap();
    assert!(matches!(completion, Completion::Progress(status) if status.have > 0), "{completion:?}");
}

#[test]
fn an_existing_metainfo_file_is_not_replaced() {
    let content = Content::new(&[]);
    let output = content.folder("made").join("album.torrent");
    let target = content.original().join("album");
    let metainfo = create_metainfo_file("udp://127.0.0.1:1", &output, &target, PATIENCE).unwrap();
    assert_eq!(metainfo.trackers(), [["udp://127.0.0.1:1"]]);
    let again = create_metainfo_file("udp://127.0.0.1:1", &output, &target, PATIENCE).unwrap_err();
    assert!(matches!(again, torrent_metainfo::MakeError::Exists { .. }), "{again}");
}

#[test]
fn seeding_missing_data_fails() {
    let content = Content::new(&[]);
    let app = start(Options { seed_only: true, ..content.options(&content.folder("nothing")) });
    let error = app.wait_completion(PATIENCE).unwrap_err();
    assert!(matches!(error, AppError::Session(SessionError::Incomplete { have: 0, .. })), "{error}");
    assert_eq!(fs::read_dir(content.folder("nothing")).unwrap().count(), 0);
}

#[test]
fn ends_with_an_error_if_a_file_is_changed() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    finish(&seeder);
    fs::File::options().write(true).open(content.original().join("album/sub/c")).unwrap().set_len(5).unwrap();
    let _app = content.download("copy", |options| options.peers = vec![address(&seeder)]);
    let error = seeder.join().unwrap_err();
    assert!(
        matches!(&error, AppError::Session(SessionError::Storage(StorageError::Changed { path })) if path.ends_with("album/sub/c")),
        "{error}"
    );
}

#[test]
fn start_fails_if_the_folder_cannot_be_opened() {
    let content = Content::new(&[]);
    let file = content.folder("x").join("file");
    fs::write(&file, "").unwrap();
    let error = App::new(content.options(&file.join("below"))).start().unwrap_err();
    assert!(matches!(error, AppError::Setup(SetupError::Storage(StorageError::Io { .. }))), "{error}");
    let other = Options { files: Some(vec![99]), ..content.options(&content.folder("x")) };
    let error = App::new(other).start().unwrap_err();
    assert!(matches!(error, AppError::Setup(SetupError::NoSuchFile { index: 99, .. })), "{error}");
    let taken = content.seed(|_| {});
    let port = Some(address(&taken).port());
    let error = App::new(Options { port, ..content.options(&content.folder("x")) }).start().unwrap_err();
    assert!(matches!(error, AppError::Setup(SetupError::Listen(_))), "{error}");
}
