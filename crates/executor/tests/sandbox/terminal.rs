//! Processes with a terminal.

use std::fs::File;
use std::io::Read as _;
use std::io::Write as _;

use lathe_event::Cancel;
use lathe_executor::Running;
use lathe_executor::Security;
use lathe_executor::TerminalSize;
use lathe_executor::exec_into;
use lathe_executor::spawn;

use crate::runner::Cx;
use crate::runner::Test;
use crate::setup::Rootfs;
use crate::setup::quiet;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_terminal_is_the_container_s_own", terminal),
    ("a_terminal_sends_its_interrupt", interrupt),
    ("a_joined_process_gets_a_terminal", joined),
];

const SIZE: TerminalSize = TerminalSize { rows: 33, columns: 99 };

/// Reads until the other side of the terminal is closed, which Linux shows as EIO.
fn read_all(mut console: &File) -> String {
    let mut bytes = Vec::new();
    let _closed = console.read_to_end(&mut bytes);
    String::from_utf8(bytes).unwrap().replace("\r\n", "\n")
}

fn console(running: &mut Running) -> File {
    running.take_console().unwrap().into()
}

fn terminal(_: &Cx) {
    let rootfs = Rootfs::new();
    let script = "tty; stty size; stat -c %F /dev/console; echo x > /dev/console; ls -1 /dev/pts; \
                  echo y > /dev/tty";
    let mut process = shell(script);
    process.terminal = Some(SIZE);
    let mut running = spawn(&rootfs.sandbox(), &process, quiet()).unwrap();
    let output = read_all(&console(&mut running));
    assert_eq!(running.wait(&Cancel::new()).unwrap().code, 0);
    assert_eq!(output, "/dev/pts/0\n33 99\ncharacter special file\nx\n0\nptmx\ny\n");
}

fn interrupt(_: &Cx) {
    let rootfs = Rootfs::new();
    let mut process =
        shell("trap 'echo got; exit 6' INT; echo ready; while :; do sleep 0.01; done");
    process.terminal = Some(SIZE);
    let mut running = spawn(&rootfs.sandbox(), &process, quiet()).unwrap();
    let mut console = console(&mut running);
    let mut start = [0; 5];
    console.read_exact(&mut start).unwrap();
    console.write_all(b"\x03").unwrap();
    let output = read_all(&console);
    assert_eq!(running.wait(&Cancel::new()).unwrap().code, 6);
    assert!(output.contains("got"), "{output}");
}

fn joined(_: &Cx) {
    let rootfs = Rootfs::new();
    let running = spawn(&rootfs.sandbox(), &shell("touch /ready; sleep 1000"), quiet()).unwrap();
    while !rootfs.join("ready").exists() {
        std::thread::yield_now();
    }
    let mut process = shell("tty; stty size");
    process.terminal = Some(SIZE);
    let mut exec = exec_into(running.pid(), Security::Default, &process, quiet()).unwrap();
    let output = read_all(&console(&mut exec));
    assert_eq!(exec.wait(&Cancel::new()).unwrap().code, 0);
    assert_eq!(output, "/dev/pts/0\n33 99\n");
}
