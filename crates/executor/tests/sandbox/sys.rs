//! Raw system calls for the probe.

/// Makes a system call with small numbers as arguments and returns its error
/// number.
pub(crate) fn raw(number: libc::c_long, arguments: [libc::c_long; 4]) -> Option<i32> {
    let [one, two, three, four] = arguments;
    // SAFETY: the probe passes no pointers but null.
    let result = unsafe { libc::syscall(number, one, two, three, four) };
    (result == -1).then(|| std::io::Error::last_os_error().raw_os_error().unwrap())
}
