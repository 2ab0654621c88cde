//! What a command does to files is in the layer, however odd the files.

use std::os::unix::ffi::OsStrExt as _;

use lathe_testkit::image::Kind;

for_everybody! {
    fn changes_of_metadata_are_in_the_layer(sandbox) {
        let image = sandbox.dockerfile(
            "FROM busybox\n\
             RUN mkdir -p /d/e && echo x > /d/f && echo y > /d/g && mkdir /keep && touch /keep/f\n\
             RUN chmod 700 /d && chown 1000:1001 /d/f && chmod 4750 /d/g && chmod 1777 /d/e\n\
             RUN chmod 700 /keep && chmod 755 /keep\n",
        ).build(&[]).image;
        assert_eq!(image.node("/d").mode, 0o700);
        assert_eq!((image.node("/d/f").owner, image.text("/d/f")), ((1000, 1001), "x\n".to_owned()));
        assert_eq!((image.node("/d/g").mode, image.node("/d/e").mode), (0o4750, 0o1777));
    }

    fn odd_files_survive(sandbox) {
        let long = "n".repeat(200);
        let deep = format!("/deep/{long}/{long}/{long}");
        let image = sandbox.dockerfile(&format!(
            "FROM busybox\n\
             RUN mkdir -p {deep} && echo deep > {deep}/f && ln -s {deep}/f {deep}/l\n\
             RUN mkdir /odd && cd /odd && mkfifo pipe && : > empty && mkdir hollow && printf x > 'sp ace' \
                 && printf y > '-dash' && printf z > '\u{e4}\u{f6}\u{fc}' && printf w > .hidden && ln -s nowhere dangling \
                 && printf v > \"$(printf 'new\\nline')\" && printf u > \"$(printf 'raw\\377')\" \
                 && dd if=/dev/zero of=sparse bs=1 count=1 seek=5000000 2> /dev/null && ln 'sp ace' twin\n\
             FROM busybox\nCOPY --from=0 /odd /odd\nCOPY --from=0 /deep /deep\nRUN cat {deep}/l > /seen\n"
        )).build(&[]).image;
        assert_eq!(image.text("/seen"), "deep\n");
        assert_eq!(image.node("/odd/pipe").kind, Kind::Special);
        for (name, text) in [("empty", ""), ("sp ace", "x"), ("-dash", "y"), ("\u{e4}\u{f6}\u{fc}", "z"),
            (".hidden", "w"), ("new\nline", "v"), ("twin", "x")] {
            assert_eq!(image.text(&format!("/odd/{name}")), text, "{name:?}");
        }
        assert_eq!(image.node("/odd/hollow").kind, Kind::Directory);
        assert_eq!(image.node("/odd/dangling").link.as_deref(), Some("nowhere"));
        assert_eq!(image.node("/odd/sparse").data.len(), 5_000_001);
        let raw = std::ffi::OsStr::from_bytes(b"/odd/raw\xff").to_string_lossy().into_owned();
        assert_eq!(image.text(&raw), "u");
    }

    fn kinds_change(sandbox) {
        let image = sandbox.dockerfile(
            "FROM busybox\n\
             RUN mkdir /a && echo 1 > /a/1 && echo file > /b && ln -s /a /c && mkdir -p /d/e && echo 2 > /d/e/2\n\
             RUN rm -r /a && echo file > /a && rm /b && mkdir /b && echo 3 > /b/3 && rm /c && echo 4 > /c && mv /d /moved\n\
             RUN rm -r /moved/e && mv /b /d && ln /d/3 /d/4 && echo more >> /d/3\n",
        ).build(&[]).image;
        assert_eq!(image.text("/a"), "file\n");
        assert_eq!((image.node("/c").kind, image.text("/c")), (Kind::File, "4\n".to_owned()));
        assert!(!image.has("/b") && !image.has("/moved/e") && image.has("/moved"));
        assert_eq!((image.text("/d/3"), image.text("/d/4")), ("3\nmore\n".to_owned(), "3\nmore\n".to_owned()));
        assert!(!image.has("/d/e"));
    }

    fn much_output_and_many_files(sandbox) {
        let built = sandbox.dockerfile(
            "FROM busybox\n\
             RUN seq 1 100000; printf '\\033[31mred\\033[0m \\033]0;title\\007\\n'; head -c 100000 /dev/urandom\n\
             RUN mkdir /many && cd /many && seq 1 3000 | xargs touch\n\
             RUN ls /many | wc -l > /count && rm /many/1*\n",
        ).build(&[]);
        assert_eq!(built.image.text("/count"), "3000\n");
        assert_eq!(built.image.tree().keys().filter(|path| path.starts_with("/many/")).count(), 1889);
        assert!(built.output.stderr.contains(" 100000\n"));
        // Colors pass; what retitles, moves or asks the terminal does not.
        assert!(built.output.stderr.contains("\u{1b}[31mred"));
        let escapes = built.output.stderr.split('\u{1b}').skip(1);
        for escape in escapes {
            let end = escape.find(|c: char| c != '[' && c != ';' && !c.is_ascii_digit());
            assert_eq!(end.map(|end| &escape[end..=end]), Some("m"), "{escape:?}");
        }
        assert!(!built.output.stderr.contains('\u{7}'));
    }
}

#[test]
fn a_long_chain_of_layers_works() {
    let Some(sandbox) = crate::sandbox() else { return };
    let copies: Vec<String> =
        (0..140).map(|index| format!("COPY f{} /f{index}\n", index % 2)).collect();
    let copies = copies.concat();
    let text = format!("FROM busybox\n{copies}RUN ls / | grep -c '^f' > /count\n");
    sandbox.file("f0", "0").file("f1", "1").dockerfile(&text);
    let image = sandbox.build(&["-t", "long"]).image;
    assert_eq!(image.text("/count"), "140\n");
    assert_eq!(sandbox.lathe(&["run", "--rm", "long", "cat", "/f139"]).success().stdout, "1");
}

#[test]
fn files_that_cannot_be_read_are_named() {
    let Some(sandbox) = crate::normal_user().or_else(crate::sandbox) else { return };
    sandbox.file("secret", "x").file("open", "y").mode("secret", 0o000);
    sandbox.dockerfile("FROM busybox\nCOPY open /\n").build(&[]);
    sandbox.dockerfile("FROM busybox\nCOPY . /t\n");
    let output = sandbox.try_build(&[]);
    output.says_not("panicked");
    if output.code != 0 {
        output.says("secret").says("ermission denied");
    }
}
