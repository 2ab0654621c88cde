//! The instructions that only change the config, and the form of config and history.

use lathe_testkit::{image::Image, sandbox::Sandbox};
use serde_json::{Value, json};

use crate::sandbox;

#[track_caller]
fn build(sandbox: &Sandbox, lines: &str) -> Image {
    sandbox.dockerfile(&format!("FROM busybox\n{lines}\n")).build(&[]).image
}

#[track_caller]
fn check(sandbox: &Sandbox, lines: &str, key: &str, expected: &Value) {
    let image = build(sandbox, lines);
    assert_eq!(&image.run()[key], expected, "{lines}");
}

#[test]
fn commands_have_a_shell_or_not() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    check(sandbox, "CMD [\"a\", \"b c\"]", "Cmd", &json!(["a", "b c"]));
    check(sandbox, "CMD a  b $c", "Cmd", &json!(["/bin/sh", "-c", "a  b $c"]));
    check(sandbox, "SHELL [\"/bin/ash\", \"-ec\"]\nCMD x", "Cmd", &json!(["/bin/ash", "-ec", "x"]));
    check(sandbox, "ENTRYPOINT [\"e\"]", "Entrypoint", &json!(["e"]));
    check(sandbox, "ENTRYPOINT e $x", "Entrypoint", &json!(["/bin/sh", "-c", "e $x"]));
    // A new entry point makes the base's command meaningless, but not one of this stage.
    check(sandbox, "ENTRYPOINT [\"e\"]", "Cmd", &Value::Null);
    check(sandbox, "CMD [\"c\"]\nENTRYPOINT [\"e\"]", "Cmd", &json!(["c"]));
    check(sandbox, "CMD ['a']", "Cmd", &json!(["/bin/sh", "-c", "['a']"]));
}

#[test]
fn settings_are_in_the_config() {
    let Some(sandbox) = sandbox() else { return };
    let sandbox = &sandbox;
    let ports = json!({ "53/udp": {}, "80/tcp": {}, "8000/tcp": {}, "8001/tcp": {} });
    check(sandbox, "ENV P=8000-8001\nEXPOSE 80 53/udp $P", "ExposedPorts", &ports);
    check(
        sandbox,
        "LABEL a=1 b=\"two words\"\nLABEL c d",
        "Labels",
        &json!({"a": "1", "b": "two words", "c": "d"}),
    );
    check(sandbox, "USER ann:staff", "User", &json!("ann:staff"));
    check(sandbox, "WORKDIR /a\nWORKDIR b\nWORKDIR ../c", "WorkingDir", &json!("/a/c"));
    check(sandbox, "VOLUME /v [\"x\"]", "Volumes", &json!({ "/v": {}, "[x]": {} }));
    check(sandbox, "VOLUME [\"/v\", \"/w\"]", "Volumes", &json!({ "/v": {}, "/w": {} }));
    check(sandbox, "STOPSIGNAL SIGTERM", "StopSignal", &json!("SIGTERM"));
    check(sandbox, "SHELL [\"/bin/ash\", \"-c\"]", "Shell", &json!(["/bin/ash", "-c"]));
    let health =
        json!({ "Test": ["CMD-SHELL", "true"], "Interval": 5_000_000_000_u64, "Retries": 2 });
    check(sandbox, "HEALTHCHECK --interval=5s --retries=2 CMD true", "Healthcheck", &health);
    check(sandbox, "HEALTHCHECK NONE", "Healthcheck", &json!({ "Test": ["NONE"] }));
}

#[test]
fn the_environment_is_built_up() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(
        &sandbox,
        "ENV A=1 B=\"two words\"\nENV A=2 C=$A\nENV D ${B:-no} ${X:-default}\nENV PATH=/own:$PATH\nRUN env | sort > /seen",
    );
    let path = "/own:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let expected =
        json!([format!("PATH={path}"), "A=2", "B=two words", "C=1", "D=two words default"]);
    assert_eq!(image.run()["Env"], expected);
    let seen = image.text("/seen");
    for line in ["A=2", "B=two words", "C=1", "D=two words default", &format!("PATH={path}")] {
        assert!(seen.lines().any(|seen| seen == line), "{line} in {seen}");
    }
}

#[test]
fn arguments_are_seen_by_commands_and_not_kept() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nARG A=1\nARG B\nENV C=$A$B\nRUN echo $A-$B > /seen\n");
    let image = sandbox.build(&["--build-arg", "B=2"]).image;
    assert_eq!(image.text("/seen"), "1-2\n");
    let env = image.run()["Env"].to_string();
    assert!(env.contains("C=12") && !env.contains("\"A=") && !env.contains("\"B="), "{env}");
}

#[test]
fn a_working_folder_is_made() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(&sandbox, "WORKDIR /new/folder\nRUN pwd > seen\nUSER ann\nWORKDIR own");
    assert_eq!(image.text("/new/folder/seen"), "/new/folder\n");
    let node = image.node("/new/folder");
    assert_eq!((node.mode, node.owner), (0o755, (0, 0)));
    assert_eq!(image.node("/new/folder/own").owner, (1000, 1001));
}

#[test]
fn history_has_an_item_for_each_instruction() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.file("f", "f").dockerfile(
        "FROM busybox AS x\n\
         ARG V=1\n\
         ENV A=\"b c\"\n\
         WORKDIR /w\n\
         COPY --chown=1:2 f /f\n\
         RUN echo \\\n  done\n\
         RUN [\"true\"]\n\
         LABEL l=1\n\
         EXPOSE 80\n\
         USER ann\n\
         ENTRYPOINT [\"e\"]\n\
         CMD c\n",
    );
    let image = sandbox.build(&["--build-arg", "V=2"]).image;
    let expected = [
        ("layer 0", false),
        ("ARG V=2", true),
        ("ENV A=b c", true),
        ("WORKDIR /w", false),
        ("COPY --chown=1:2 f /f # buildkit", false),
        ("RUN |1 V=2 /bin/sh -c echo   done # buildkit", false),
        ("RUN |1 V=2 true # buildkit", false),
        ("LABEL l=1", true),
        ("EXPOSE [80/tcp]", true),
        ("USER ann", true),
        ("ENTRYPOINT [\"e\"]", true),
        ("CMD [\"/bin/sh\" \"-c\" \"c\"]", true),
    ];
    let history = image.history();
    let history: Vec<(&str, bool)> =
        history.iter().map(|(by, empty)| (by.as_str(), *empty)).collect();
    assert_eq!(history, expected);
    let comment = &image.config["history"][1]["comment"];
    assert_eq!(comment, "buildkit.dockerfile.v0");
    assert_eq!(image.config["os"], "linux");
    assert!(image.config["created"].is_string());
}

#[test]
fn labels_of_the_command_line_win() {
    let Some(sandbox) = sandbox() else { return };
    sandbox.dockerfile("FROM busybox\nLABEL a=1 b=2\n");
    let image = sandbox.build(&["--label", "b=3", "--label", "c=x=y"]).image;
    assert_eq!(image.run()["Labels"], json!({ "a": "1", "b": "3", "c": "x=y" }));
}

#[test]
fn an_image_of_settings_alone_shares_the_layers_of_its_base() {
    let Some(sandbox) = sandbox() else { return };
    let image = build(&sandbox, "ENV A=1\nCMD [\"x\"]");
    assert_eq!(image.layers.len(), 1);
    let trace = sandbox.trace(&["--no-cache"]).success();
    assert_eq!(trace.ran(), Vec::<&str>::new());
}

#[test]
fn an_image_from_scratch_may_have_no_layer() {
    let Some(sandbox) = sandbox() else { return };
    let image = sandbox.dockerfile("FROM scratch\nCMD [\"/x\"]\n").build(&["-t", "empty"]).image;
    assert_eq!(image.layers.len(), 0);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(image.run()["Env"], json!([path]));
}
