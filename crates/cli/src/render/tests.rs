//! What docker prints, to the byte.

use std::collections::BTreeMap;

use serde_json::json;

use super::*;

const NOW: i64 = 1_700_000_000;
const WEEK: i64 = 7 * 86_400;

fn rows() -> Vec<ImageRow> {
    let image = |name: &str, tag: &str, hex: char, ago: i64, size: u64| ImageRow {
        id: format!("sha256:{}", hex.to_string().repeat(64)),
        repository: Some(name.to_owned()),
        tag: Some(tag.to_owned()),
        digest: Some(format!("sha256:{}", "d".repeat(64))),
        created: Some(NOW - ago),
        size,
        containers: 1,
    };
    vec![
        image("node-multistage", "latest", 'a', 5, 132_900_000),
        image("localhost:5000/team/app", "dev", 'b', 2 * WEEK, 1_140_000_000),
        ImageRow {
            id: format!("sha256:{}", "c".repeat(64)),
            size: 5_580_000,
            ..ImageRow::default()
        },
    ]
}

fn image_view(format: Option<&str>) -> ImageView<'_> {
    ImageView { format, quiet: false, digests: false, no_trunc: false, now: NOW, zone: Zone::utc() }
}

#[test]
fn images_are_listed_in_dockers_columns() {
    let want = "\
REPOSITORY                TAG       IMAGE ID       CREATED         SIZE
node-multistage           latest    aaaaaaaaaaaa   5 seconds ago   133MB
localhost:5000/team/app   dev       bbbbbbbbbbbb   2 weeks ago     1.14GB
<none>                    <none>    cccccccccccc   N/A             5.58MB
";
    assert_eq!(images(&rows(), &image_view(None)).expect("renders"), want);
    let quiet = ImageView { quiet: true, ..image_view(None) };
    assert_eq!(
        images(&rows(), &quiet).expect("renders"),
        "aaaaaaaaaaaa\nbbbbbbbbbbbb\ncccccccccccc\n"
    );
    let empty = images(&[], &image_view(None)).expect("renders");
    assert_eq!(empty, "REPOSITORY   TAG       IMAGE ID   CREATED   SIZE\n");
}

#[test]
fn digests_and_whole_ids_widen_the_table() {
    let view = ImageView { digests: true, no_trunc: true, ..image_view(None) };
    let text = images(&rows()[..1], &view).expect("renders");
    let line = text.lines().nth(1).expect("a row");
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[2], format!("sha256:{}", "d".repeat(64)));
    assert_eq!(words[3], format!("sha256:{}", "a".repeat(64)));
}

#[test]
fn image_templates_give_what_docker_gives() {
    let id = "aaaaaaaaaaaa";
    let cases: &[(&str, &str)] = &[
        ("{{.ID}}", id),
        ("{{.Repository}}:{{.Tag}}", "node-multistage:latest"),
        ("{{.ID}} {{.Size}}", "aaaaaaaaaaaa 133MB"),
        ("{{.CreatedSince}}", "5 seconds ago"),
        ("{{.CreatedAt}}", "2023-11-14 22:13:15 +0000 UTC"),
        ("{{.Containers}}", "1"),
        ("{{.SharedSize}}/{{.UniqueSize}}", "N/A/N/A"),
        ("{{json .ID}}", "\"aaaaaaaaaaaa\""),
        ("{{upper .Tag}}", "LATEST"),
        ("{{lower \"ABC\"}}", "abc"),
        ("{{title .Tag}}", "Latest"),
        ("{{truncate .ID 4}}", "aaaa"),
        ("{{pad .Tag 1 2}}|", " latest  |"),
        ("{{join (split .Repository \"-\") \"/\"}}", "node/multistage"),
        ("{{index (split .Repository \"-\") 1}}", "multistage"),
        ("{{len .ID}}", "12"),
        ("{{printf \"%s=%q\" .Tag .ID}}", "latest=\"aaaaaaaaaaaa\""),
        ("{{printf \"%-10s|\" .Tag}}", "latest    |"),
        ("{{if eq .Tag \"latest\"}}yes{{else}}no{{end}}", "yes"),
        ("{{with .Tag}}<{{.}}>{{end}}", "<latest>"),
        ("{{.Tag | upper | printf \"%s!\"}}", "LATEST!"),
        ("{{range split .Repository \"-\"}}[{{.}}]{{end}}", "[node][multistage]"),
        ("{{.ID}}\\t{{.Tag}}", "aaaaaaaaaaaa\tlatest"),
        ("{{- .ID -}}", id),
        ("{{slice .ID 0 3}}", "aaa"),
        ("{{and .ID .Tag}}", "latest"),
        ("{{not .ID}}", "false"),
        ("{{$x := .Tag}}{{$x}}", "latest"),
        ("{{/* nothing */}}x", "x"),
        ("{{html \"<a>\"}}", "&lt;a&gt;"),
    ];
    for (template, want) in cases {
        let got = images(&rows()[..1], &image_view(Some(template))).expect(template);
        assert_eq!(got, format!("{want}\n"), "{template}");
    }
}

#[test]
fn tables_of_a_template_have_headers() {
    let cases: &[(&str, &str)] = &[
        (
            "table",
            "REPOSITORY        TAG       IMAGE ID       CREATED         SIZE\nnode-multistage   latest    aaaaaaaaaaaa   5 seconds ago   133MB\n",
        ),
        ("table {{.ID}}\\t{{.Size}}", "IMAGE ID       SIZE\naaaaaaaaaaaa   133MB\n"),
        (
            "table {{upper .Tag}}\t{{.CreatedAt}}",
            "TAG       CREATED AT\nLATEST    2023-11-14 22:13:15 +0000 UTC\n",
        ),
        ("table {{.Repository}}:{{.Tag}}", "REPOSITORY:TAG\nnode-multistage:latest\n"),
        ("table {{truncate .ID 3}}\t{{json .Tag}}", "IMAGE ID   TAG\naaa        \"latest\"\n"),
    ];
    for (template, want) in cases {
        let got = images(&rows()[..1], &image_view(Some(template))).expect(template);
        assert_eq!(got, *want, "{template}");
    }
}

#[test]
fn json_lists_every_field_in_order() {
    let got = images(&rows()[..1], &image_view(Some("json"))).expect("renders");
    let want = format!(
        concat!(
            r#"{{"Containers":"1","CreatedAt":"2023-11-14 22:13:15 +0000 UTC","#,
            r#""CreatedSince":"5 seconds ago","Digest":"sha256:{}","ID":"aaaaaaaaaaaa","#,
            r#""Repository":"node-multistage","SharedSize":"N/A","Size":"133MB","#,
            r#""Tag":"latest","UniqueSize":"N/A","VirtualSize":"133MB"}}"#,
            "\n"
        ),
        "d".repeat(64)
    );
    assert_eq!(got, want);
}

#[test]
fn a_wrong_template_is_an_error() {
    for template in ["{{.Nope}}", "{{", "{{nope}}", "table {{.Nope}}"] {
        let error = images(&rows(), &image_view(Some(template))).expect_err(template);
        assert!(error.to_string().starts_with("template parsing error: "), "{error}");
    }
}

fn container() -> ContainerRow {
    ContainerRow {
        id: "f".repeat(64),
        image: "node-multistage".to_owned(),
        command: ["docker-entrypoint.sh", "node", "server.js"].map(str::to_owned).to_vec(),
        created: NOW - 10,
        state: ContainerState::Running { since: NOW - 9 },
        ports: vec![PublishedPort {
            address: std::net::IpAddr::from([0, 0, 0, 0]),
            host: 3000,
            container: 3000,
            protocol: "tcp",
        }],
        exposed: vec![(3000, "tcp")],
        name: "brave_lathe".to_owned(),
        labels: BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), "2".to_owned()),
        ]),
        mounts: vec!["/data".to_owned()],
        network: "bridge".to_owned(),
        size: None,
    }
}

fn container_view(format: Option<&str>) -> ContainerView<'_> {
    ContainerView {
        format,
        quiet: false,
        no_trunc: false,
        size: false,
        now: NOW,
        zone: Zone::utc(),
    }
}

#[test]
fn containers_are_listed_in_dockers_columns() {
    let want = concat!(
        "CONTAINER ID   IMAGE             COMMAND                  CREATED          STATUS         PORTS                    NAMES\n",
        "ffffffffffff   node-multistage   \"docker-entrypoint.s…\"   10 seconds ago   Up 9 seconds   0.0.0.0:3000->3000/tcp   brave_lathe\n",
    );
    assert_eq!(containers(&[container()], &container_view(None)).expect("renders"), want);
    let empty = containers(&[], &container_view(None)).expect("renders");
    assert_eq!(empty, "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n");
}

#[test]
fn container_templates_give_what_docker_gives() {
    let cases: &[(&str, &str)] = &[
        ("{{.Names}} {{.Status}}", "brave_lathe Up 9 seconds"),
        ("{{.Ports}}", "0.0.0.0:3000->3000/tcp"),
        ("{{.State}}", "running"),
        ("{{.Labels}}", "a=1,b=2"),
        ("{{.Size}}", "0B"),
        ("{{.Networks}} {{.Mounts}} {{.LocalVolumes}}", "bridge /data 0"),
        ("{{.RunningFor}}", "10 seconds ago"),
        ("{{.Command}}", "\"docker-entrypoint.s…\""),
    ];
    for (template, want) in cases {
        let got = containers(&[container()], &container_view(Some(template))).expect(template);
        assert_eq!(got, format!("{want}\n"), "{template}");
    }
    let quiet = ContainerView { quiet: true, no_trunc: true, ..container_view(None) };
    assert_eq!(
        containers(&[container()], &quiet).expect("renders"),
        format!("{}\n", "f".repeat(64))
    );
    let sized = ContainerRow { size: Some((12, 133_000_000)), ..container() };
    let got = containers(&[sized], &container_view(Some("{{.Size}}"))).expect("renders");
    assert_eq!(got, "12B (virtual 133MB)\n");
}

#[test]
fn a_history_is_shown_in_dockers_columns() {
    let rows = [
        HistoryRow {
            id: Some(format!("sha256:{}", "a".repeat(64))),
            created: Some(NOW - 60),
            created_by: "CMD [\"node\" \"server.js\"]".to_owned(),
            size: 0,
            comment: "buildkit.dockerfile.v0".to_owned(),
        },
        HistoryRow {
            created: Some(NOW - 2 * WEEK),
            created_by: "RUN /bin/sh -c npm ci --omit=dev\t&& npm cache clean --force # buildkit"
                .to_owned(),
            size: 7_800_000,
            ..HistoryRow::default()
        },
    ];
    let view = HistoryView {
        format: None,
        quiet: false,
        human: true,
        no_trunc: false,
        now: NOW,
        zone: Zone::utc(),
    };
    let want = concat!(
        "IMAGE          CREATED              CREATED BY                                      SIZE      COMMENT\n",
        "aaaaaaaaaaaa   About a minute ago   CMD [\"node\" \"server.js\"]                        0B        buildkit.dockerfile.v0\n",
        "<missing>      2 weeks ago          RUN /bin/sh -c npm ci --omit=dev && npm cach…   7.8MB     \n",
    );
    assert_eq!(history(&rows, &view).expect("renders"), want);
    let exact = HistoryView { human: false, ..view.clone() };
    let text = history(&rows, &exact).expect("renders");
    assert!(text.contains("2023-11-14T22:12:20Z"), "{text}");
    assert!(text.contains("7800000"), "{text}");
    let quiet = HistoryView { quiet: true, ..view };
    assert_eq!(history(&rows, &quiet).expect("renders"), "aaaaaaaaaaaa\n<missing>\n");
}

#[test]
fn inspect_prints_dockers_json_or_a_template_per_document() {
    let document = json!({"Id": "sha256:a", "Config": {"Env": ["A=1", "B=2"], "Labels": {"x": "y"}, "User": ""}, "Size": 1_140_000_000_u64, "RepoTags": []});
    let check = |format: &str, want: &str| {
        let got = inspect(std::slice::from_ref(&document), Some(format)).expect(format);
        assert_eq!(got, format!("{want}\n"), "{format}");
    };
    check("{{.Id}}", "sha256:a");
    check("{{.Size}}", "1140000000");
    check("{{.Config.Env}}", "[A=1 B=2]");
    check("{{json .Config.Env}}", "[\"A=1\",\"B=2\"]");
    check("{{range .Config.Env}}{{println .}}{{end}}", "A=1\nB=2\n");
    check("{{index .Config.Labels \"x\"}}", "y");
    check("{{.Config.Labels}}", "map[x:y]");
    check("{{join .Config.Env \",\"}}", "A=1,B=2");
    check("{{len .RepoTags}}", "0");
    check("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}}{{end}}", "x=y");
    let pretty = inspect(&[json!({"A": [1], "B": {}})], None).expect("renders");
    assert_eq!(
        pretty,
        "[\n    {\n        \"A\": [\n            1\n        ],\n        \"B\": {}\n    }\n]\n"
    );
    assert_eq!(inspect(&[], None).expect("renders"), "[]\n");
    assert!(inspect(&[document], Some("{{.Nope}}")).is_err());
}

#[test]
fn ids_and_texts_are_shortened() {
    assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
    assert_eq!(short_id("0123456789abcdef"), "0123456789ab");
    assert_eq!(short_id("abc"), "abc");
    assert_eq!(ellipsis("abcdef", 6), "abcdef");
    assert_eq!(ellipsis("abcdefg", 6), "abcde…");
}
