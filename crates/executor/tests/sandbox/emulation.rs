//! Programs of another architecture.

use std::os::unix::fs::PermissionsExt as _;

use lathe_executor::Access;
use lathe_executor::Availability;
use lathe_executor::Emulation;
use lathe_executor::Registration;
use lathe_executor::Sandbox;
use lathe_executor::UserIds;
use lathe_executor::interpreter_for;

use crate::runner::Cx;
use crate::runner::Mode;
use crate::runner::Test;
use crate::runner::skip;
use crate::setup::Overlay;
use crate::setup::Rootfs;
use crate::setup::bind;
use crate::setup::output;
use crate::setup::output_of;
use crate::setup::process;
use crate::setup::run;
use crate::setup::shell;

pub(crate) const TESTS: &[Test] = &[
    ("a_program_of_another_architecture_runs", foreign),
    ("without_an_emulator_a_foreign_program_is_refused", refused),
    ("a_foreign_program_changes_an_overlay_as_its_own_would", overlay),
    ("many_sandboxes_share_emulators", parallel),
];

/// A program of another architecture which prints its name and exits with 7.
struct Foreign {
    architecture: &'static str,
    machine: u8,
    code: &'static [u32],
}

/// `write(1, text, 8)`, `exit(7)`, and the text behind.
#[cfg(target_arch = "x86_64")]
const FOREIGN: Foreign = Foreign {
    architecture: "arm64",
    machine: 183,
    code: &[
        0xd280_0020, // mov x0, 1
        0x1000_00e1, // adr x1, .+28
        0xd280_0102, // mov x2, 8
        0xd280_0808, // mov x8, 64
        0xd400_0001, // svc 0
        0xd280_00e0, // mov x0, 7
        0xd280_0ba8, // mov x8, 93
        0xd400_0001, // svc 0
    ],
};

/// The same in the other direction.
#[cfg(target_arch = "aarch64")]
const FOREIGN: Foreign = Foreign {
    architecture: "amd64",
    machine: 62,
    code: &[
        0x0001_b890, // nop; mov eax, 1
        0x8d48_0000, // lea rsi, [rip+21]
        0x0000_1535,
        0x08ba_9000, // nop; mov edx, 8
        0x8900_0000, // mov edi, eax
        0xb805_0fc7, // syscall; mov eax, 60
        0x0000_003c,
        0x0007_bf90, // nop; mov edi, 7; syscall
        0x050f_0000,
    ],
};

impl Foreign {
    /// Puts it into a root file system.
    fn install(&self, rootfs: &Rootfs) {
        const BASE: u64 = 0x40_0000;
        let size = (120 + 4 * self.code.len() + 8) as u64;
        let mut program = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        program.extend([2, 0, self.machine, 0, 1, 0, 0, 0]);
        for number in [BASE + 120, 64, 0] {
            program.extend(number.to_le_bytes());
        }
        program.extend([0, 0, 0, 0, 64, 0, 56, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        program.extend([1, 0, 0, 0, 5, 0, 0, 0]);
        for number in [0, BASE, BASE, size, size, 4096] {
            program.extend(number.to_le_bytes());
        }
        program.extend(self.code.iter().flat_map(|word| word.to_le_bytes()));
        program.extend(b"foreign\n");
        let path = rootfs.join("foreign");
        std::fs::write(&path, program).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
}

/// Returns the emulators, when there is one for the foreign program that nobody
/// has registered yet.
fn emulation(test: &str) -> Option<Emulation> {
    match interpreter_for(FOREIGN.architecture, None) {
        Availability::Emulated { by: Registration::Own, .. } => Some(Emulation::start().unwrap()),
        Availability::Missing { hint } => {
            skip(test, &hint);
            None
        }
        other => {
            skip(test, &format!("{other:?}"));
            None
        }
    }
}

fn sandbox_of(rootfs: &Rootfs, emulation: &Emulation) -> Sandbox {
    FOREIGN.install(rootfs);
    let mut sandbox = rootfs.sandbox();
    sandbox.user_namespace = emulation.user_namespace();
    sandbox
}

fn foreign(cx: &Cx) {
    let Some(emulation) = emulation("a_program_of_another_architecture_runs") else { return };
    assert_eq!(emulation.user_namespace().is_some(), cx.mode == Mode::Root);
    let (rootfs, source) = (Rootfs::new(), Rootfs::new());
    let mut sandbox = sandbox_of(&rootfs, &emulation);
    sandbox.mounts.push(bind(source.path(), "/mnt", Access::ReadWrite));
    sandbox.files.push(("/etc/hosts".to_owned(), b"x".to_vec()).into());
    let outcome = run(&sandbox, &process(&["/foreign"])).unwrap();
    assert_eq!((outcome.exit.code, outcome.stdout.as_str()), (7, "foreign\n"), "{outcome:?}");
    // Held back as ever, and able to do what installing programs takes.
    let script = "grep -E '^(CapEff|CapBnd|Seccomp):' /proc/self/status; /foreign; \
                  touch /made; chmod 4755 /made; ln /made /linked; echo $$; \
                  mount -t tmpfs none /mnt 2>/dev/null || echo no mount; \
                  cat /proc/self/setgroups";
    let expected = "CapEff:\t00000000a80425fb\nCapBnd:\t00000000a80425fb\nSeccomp:\t2\n\
                    foreign\n1\nno mount\n";
    let found = output(&sandbox, script);
    assert!(found.starts_with(expected), "{found}");
    assert_eq!(rootfs.names(), ["etc", "foreign", "linked", "made"]);
    if cx.mode == Mode::Single {
        return skip("a_program_of_another_architecture_runs (user)", "one id only");
    }
    let mut process = shell("id -u; id -g; /foreign; exit 0");
    process.user = UserIds { uid: 1000, gid: 1001, additional: vec![1001] };
    assert_eq!(output_of(&sandbox, &process), "1000\n1001\nforeign\n");
    let owner = "touch /owned; chown 12:34 /owned; stat -c '%u %g' /owned";
    assert_eq!(output(&sandbox, owner), "12 34\n");
}

fn refused(_: &Cx) {
    const NAME: &str = "without_an_emulator_a_foreign_program_is_refused";
    let found = interpreter_for(FOREIGN.architecture, None);
    if matches!(found, Availability::Emulated { by: Registration::Machine, .. }) {
        return skip(NAME, "the machine has one registered");
    }
    let rootfs = Rootfs::new();
    FOREIGN.install(&rootfs);
    let error = run(&rootfs.sandbox(), &process(&["/foreign"])).unwrap_err();
    let text = format!(
        "exec \"/foreign\": exec format error (the program is for {})",
        FOREIGN.architecture
    );
    assert_eq!(error.to_string(), text);
    assert_eq!(error.exit_code(), 126);
}

fn overlay(cx: &Cx) {
    const NAME: &str = "a_foreign_program_changes_an_overlay_as_its_own_would";
    if cx.mode == Mode::Single {
        return skip(NAME, "one id only");
    }
    let Some(emulation) = emulation(NAME) else { return };
    let overlay = Overlay::mount(cx.mode);
    let mut sandbox = Sandbox::new(overlay.path());
    sandbox.user_namespace = emulation.user_namespace();
    let script = "echo x > /etc/made; chown 1000:50 /etc/made; chmod 6755 /etc/made; mkdir /etc/d; \
                  rmdir /etc/d; ln -s made /etc/link; mv /etc /moved; stat -c '%u %g %a' /moved/made";
    assert_eq!(output(&sandbox, script), "1000 50 6755\n");
    assert!(overlay.upper().contains(&"upper/moved/made".to_owned()), "{:?}", overlay.upper());
    overlay.unmount();
}

fn parallel(_: &Cx) {
    let Some(emulation) = emulation("many_sandboxes_share_emulators") else { return };
    // A second registry of the same namespace, as a second build has it.
    let second = Emulation::start().unwrap();
    std::thread::scope(|scope| {
        for emulation in [&emulation, &second, &emulation, &second] {
            scope.spawn(move || {
                let rootfs = Rootfs::new();
                let sandbox = sandbox_of(&rootfs, emulation);
                for _ in 0..3 {
                    assert_eq!(output(&sandbox, "/foreign; exit 0"), "foreign\n");
                }
            });
        }
    });
}
