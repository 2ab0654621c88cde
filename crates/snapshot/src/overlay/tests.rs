use super::*;

fn overlay(root: &Path) -> (Overlay, Layers) {
    for name in ["0123456789/fs", "abcdefghjk/fs", "zzzzzzzzzz/fs", "zzzzzzzzzz/work", "empty"] {
        fs::create_dir_all(root.join(name)).unwrap();
    }
    let overlay =
        Overlay { marks: Marks::Trusted, snapshots: root.to_owned(), empty: root.join("empty") };
    let layers = Layers {
        lower: vec![root.join("abcdefghjk/fs"), root.join("0123456789/fs")],
        upper: Some(Upper {
            changes: root.join("zzzzzzzzzz/fs"),
            work: root.join("zzzzzzzzzz/work"),
        }),
    };
    (overlay, layers)
}

#[test]
fn options_of_the_old_interface_are_relative_and_short() {
    let directory = tempfile::tempdir().unwrap();
    let (overlay, layers) = overlay(directory.path());
    assert_eq!(
        overlay.options_text(&layers),
        "lowerdir=abcdefghjk/fs:0123456789/fs,upperdir=zzzzzzzzzz/fs,workdir=zzzzzzzzzz/work,\
         volatile,redirect_dir=nofollow,metacopy=off,index=off,xino=off"
    );
}

#[test]
fn paths_with_the_options_own_characters_are_escaped() {
    assert_eq!(escape(Path::new("/a:b,c\\d")), Path::new("/a\\:b\\,c\\\\d"));
    assert_eq!(escape(Path::new("/plain")), Path::new("/plain"));
}

#[test]
fn both_interfaces_mount_the_same_tree() {
    // A mount namespace for this thread alone.
    if nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).is_err() {
        println!("SKIP both_interfaces_mount_the_same_tree: needs CAP_SYS_ADMIN");
        return;
    }
    let propagation =
        rustix::mount::MountPropagationFlags::PRIVATE | rustix::mount::MountPropagationFlags::REC;
    rustix::mount::mount_change("/", propagation).unwrap();
    let directory = tempfile::tempdir().unwrap();
    // A store's path may have any characters.
    let root = directory.path().join("odd:path,with\\all");
    let (overlay, layers) = overlay(&root);
    fs::write(layers.lower[0].join("top"), b"top").unwrap();
    fs::write(layers.lower[1].join("bottom"), b"bottom").unwrap();
    let point = root.join("point");
    fs::create_dir(&point).unwrap();
    let look = |expect_read_only: bool| {
        assert_eq!(fs::read(point.join("top")).unwrap(), b"top");
        assert_eq!(fs::read(point.join("bottom")).unwrap(), b"bottom");
        assert_eq!(fs::write(point.join("new"), b"").is_err(), expect_read_only);
        rustix::mount::unmount(&point, rustix::mount::UnmountFlags::DETACH).unwrap();
        if let Some(upper) = &layers.upper {
            fresh_work(upper).unwrap();
        }
    };
    assert!(overlay.mount_by_descriptor(&layers, &point).is_ok());
    look(false);
    overlay.mount_by_options(&layers, &point).unwrap();
    look(false);
    let view = Layers { upper: None, ..layers.clone() };
    overlay.mount_by_options(&view, &point).unwrap();
    look(true);
    assert!(overlay.mount_by_descriptor(&view, &point).is_ok());
    look(true);
}
