//! Volumes and binds.

use std::os::unix::fs::PermissionsExt as _;

use lathe_container::Access;
use lathe_container::VolumeSource;
use lathe_container::VolumeSpec;

use crate::harness::Lathe;
use crate::harness::Test;

pub(crate) const TESTS: &[Test] = &[
    ("a_new_volume_has_the_images_content_and_is_shared", named),
    ("a_volume_of_the_image_is_the_containers_own", anonymous),
    ("a_bind_shows_the_hosts_files", bind),
];

fn volume(source: VolumeSource, target: &str, access: Access) -> VolumeSpec {
    VolumeSpec { source, target: target.to_owned(), access }
}

fn named(lathe: &Lathe) {
    let data = VolumeSource::Named("data".to_owned());
    let mut spec = lathe.spec("writer", "cat /data/sub/file; echo written > /data/new");
    spec.volumes = vec![volume(data.clone(), "/data", Access::ReadWrite)];
    assert_eq!(lathe.foreground(&spec).stdout, "from the image\n");
    let mut spec = lathe.spec("second", "cat /elsewhere/new; touch /elsewhere/x; echo $?");
    spec.volumes = vec![volume(data, "/elsewhere", Access::ReadOnly)];
    assert_eq!(lathe.foreground(&spec).stdout, "written\n1\n");
    for name in ["writer", "second"] {
        lathe.good(&["rm", "-v", name]);
    }
    assert!(lathe.store().join("volumes/data/new").exists());
    std::fs::remove_dir_all(lathe.store().join("volumes/data")).unwrap();
}

fn anonymous(lathe: &Lathe) {
    let mut spec = lathe.spec("own", "cat /data/sub/file; echo x > /data/y");
    spec.image_volumes = vec!["/data/".to_owned()];
    assert_eq!(lathe.foreground(&spec).stdout, "from the image\n");
    let (record, _) = lathe.inspect("own");
    let path = lathe.store().join("volumes").join(&record.anonymous_volumes[0].name);
    assert!(path.join("y").exists());
    lathe.good(&["rm", "-v", "own"]);
    assert!(!path.exists());
}

fn bind(lathe: &Lathe) {
    let folder = tempfile::tempdir_in(lathe.store().parent().unwrap()).unwrap();
    let path = folder.path().to_owned();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(path.join("given"), "host\n").unwrap();
    let script = "cat /mnt/given; echo back > /mnt/taken; touch /ro/x; echo $?";
    let mut spec = lathe.spec("bound", script);
    spec.volumes = vec![
        volume(VolumeSource::Host(path.clone()), "/mnt", Access::ReadWrite),
        volume(VolumeSource::Host(path.clone()), "/ro", Access::ReadOnly),
    ];
    let output = lathe.foreground(&spec);
    assert_eq!(output.stdout, "host\n1\n", "{output:?}");
    assert_eq!(std::fs::read_to_string(path.join("taken")).unwrap(), "back\n");
}
