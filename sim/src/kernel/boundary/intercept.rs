//! The calls of the C library that would let a run see the machine or change it, each under its own name.
//!
//! A function that the program defines takes the place of the C library's function of the same name, for all code that the
//! program is linked from. Each function here asks whether its thread is in a run; everywhere else it calls the original.
//! The C library's own inner calls, and code that makes system calls without the C library, do not come through here.
//!
//! This module and `waker` are all that is unsafe in this crate.

#![allow(unsafe_code)]

use std::cell::RefCell;
use std::ffi::{CStr, c_char, c_int, c_long, c_uint, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use super::refuse::{End, Kind, ends, is_inside, is_refused};

/// Nanoseconds, seconds, pointers and sizes: what a register holds.
type Word = c_long;

/// Pretends that a call failed because it is not permitted.
fn denied<R>(result: R) -> R {
    fail_with(libc::EPERM, result)
}

fn fail_with<R>(errno: c_int, result: R) -> R {
    // SAFETY: the pointer is to this thread's own `errno`.
    unsafe { *libc::__errno_location() = errno };
    result
}

/// Ends the process, and runs nothing on the way out.
pub(super) fn leave(code: c_int) -> ! {
    // SAFETY: it takes any number.
    unsafe { libc::_exit(code) }
}

/// Writes to stderr, past all locks and buffers.
pub(super) fn say(mut text: &str) {
    while !text.is_empty() {
        // SAFETY: so many bytes are there.
        match unsafe { libc::write(libc::STDERR_FILENO, text.as_ptr().cast(), text.len()) } {
            written @ 1.. => text = text.get(written as usize..).unwrap_or_default(),
            _ => return,
        }
    }
}

/// Finds the C library's own function, once.
fn original(known: &AtomicPtr<c_void>, name: &CStr) -> *mut c_void {
    let found = known.load(Ordering::Relaxed);
    if !found.is_null() {
        return found;
    }
    // SAFETY: the name ends with a NUL, and `RTLD_NEXT` asks for the definition after the one in this program.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name.as_ptr()) };
    if found.is_null() {
        // Without the original nothing is right: it is as if the program had not been linked.
        std::process::abort();
    }
    known.store(found, Ordering::Relaxed);
    found
}

/// Defines the functions. `KIND: name(..) -> result, answer`: in a run the answer is given if it is `Some`, and everywhere else
/// the call goes to the original.
macro_rules! calls {
    ($($name:ident ($($arg:ident: $type:ty),*) -> $result:ty, $answer:expr;)*) => {
        $(
            /// As the function of this name in the C library.
            #[unsafe(no_mangle)]
            unsafe extern "C" fn $name($($arg: $type),*) -> $result {
                if is_inside() {
                    let answer: Option<$result> = $answer;
                    if let Some(answer) = answer {
                        return answer;
                    }
                }
                static ORIGINAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());
                let name = concat!(stringify!($name), "\0");
                let name = CStr::from_bytes_with_nul(name.as_bytes()).unwrap_or_default();
                // SAFETY: the C library's function of this name has this signature, and takes what the caller passed.
                unsafe {
                    let original: unsafe extern "C" fn($($type),*) -> $result =
                        std::mem::transmute(original(&ORIGINAL, name));
                    original($($arg),*)
                }
            }
        )*

        /// The functions above: whoever reaches this has linked them.
        pub(super) static LINKED: &[(&str, Function)] = &[$((stringify!($name), Function($name as *const c_void))),*];
    };
}

/// The address of a function.
pub(super) struct Function(#[expect(dead_code, reason = "what refers to a function links it")] *const c_void);

// SAFETY: the address of a function is never dereferenced, and is the same in every thread.
unsafe impl Sync for Function {}

/// The answer to a refused call.
macro_rules! refused {
    ($kind:ident, $name:literal, $result:expr) => {
        is_refused(Kind::$kind, $name, None).then(|| denied($result))
    };
    ($kind:ident, $name:literal, $path:ident, $result:expr) => {
        // SAFETY: the caller passes a C string, as the function of this name wants it.
        unsafe { on_path(Kind::$kind, $name, $path) }.map(|errno| fail_with(errno, $result))
    };
}

/// What becomes of a call with a path: an error number, or nothing if the call passes.
///
/// # Safety
///
/// The path is null or a C string.
unsafe fn on_path(kind: Kind, call: &str, path: *const c_char) -> Option<c_int> {
    if path.is_null() {
        return None;
    }
    // SAFETY: as the caller says.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes();
    // An empty path stands for a file that is open already.
    let passes: [&[u8]; 4] = [b"", b"/dev/null", b"/dev/zero", b"/dev/full"];
    if passes.contains(&path) || RANDOM.contains(&path) {
        return None;
    }
    // `available_parallelism` looks there for limits. In a run there are none.
    if path.starts_with(b"/sys/fs/cgroup") || path.starts_with(b"/proc/self/cgroup") || path == b"/proc/self/mountinfo"
    {
        return Some(libc::ENOENT);
    }
    is_refused(kind, call, Some(&String::from_utf8_lossy(path))).then_some(libc::EPERM)
}

/// The files of random bytes. They can be opened, and what is read from them comes from the seed.
const RANDOM: [&[u8]; 2] = [b"/dev/urandom", b"/dev/random"];

thread_local! {
    /// Open files of random bytes.
    static RANDOM_FILES: RefCell<Vec<c_int>> = const { RefCell::new(Vec::new()) };
}

/// Opens a file of random bytes, if that is what the path says.
///
/// # Safety
///
/// The path is null or a C string.
unsafe fn random_file(path: *const c_char) -> Option<c_int> {
    // SAFETY: as the caller says.
    if path.is_null() || !RANDOM.contains(&unsafe { CStr::from_ptr(path) }.to_bytes()) {
        return None;
    }
    // What is opened is never read: it only keeps the number of the file from being given away.
    // SAFETY: the path is a C string, and the flags need no mode.
    let file = unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, c"/dev/null".as_ptr(), libc::O_RDONLY, 0) };
    let file = file as c_int;
    RANDOM_FILES.with_borrow_mut(|files| files.push(file));
    Some(file)
}

fn is_random_file(file: c_int) -> bool {
    RANDOM_FILES.with_borrow(|files| files.contains(&file))
}

/// What opens a file.
macro_rules! opened {
    ($name:literal, $path:ident) => {
        // SAFETY: the caller passes a C string, as the function of this name wants it.
        unsafe { random_file($path) }.or_else(|| refused!(Files, $name, $path, -1))
    };
}

/// Random bytes from the seed: the boundary has defined this function.
///
/// # Safety
///
/// So many bytes can be written there.
unsafe fn random(buffer: *mut c_void, length: usize) -> isize {
    // SAFETY: as the caller says.
    unsafe { libc::getrandom(buffer, length, 0) }
}

/// Nanoseconds of the wall clock, in the run's time.
fn wall_clock() -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: there is room for the answer.
    unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &raw mut now) };
    now
}

/// The clocks that show virtual time.
fn is_virtual(clock: c_int) -> bool {
    use libc::*;
    [
        CLOCK_REALTIME,
        CLOCK_REALTIME_COARSE,
        CLOCK_MONOTONIC,
        CLOCK_MONOTONIC_RAW,
        CLOCK_MONOTONIC_COARSE,
        CLOCK_BOOTTIME,
    ]
    .contains(&clock)
}

/// In a run each node is alone on its machine.
const PROCESS: c_int = 1;

calls! {
    // Files.
    open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int, opened!("open", path);
    open64(path: *const c_char, flags: c_int, mode: c_uint) -> c_int, opened!("open", path);
    openat(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int, opened!("openat", path);
    openat64(at: c_int, path: *const c_char, flags: c_int, mode: c_uint) -> c_int, opened!("openat", path);
    creat(path: *const c_char, mode: c_uint) -> c_int, refused!(Files, "creat", path, -1);
    creat64(path: *const c_char, mode: c_uint) -> c_int, refused!(Files, "creat", path, -1);
    fopen(path: *const c_char, mode: *const c_char) -> *mut c_void, refused!(Files, "fopen", path, std::ptr::null_mut());
    fopen64(path: *const c_char, mode: *const c_char) -> *mut c_void, refused!(Files, "fopen", path, std::ptr::null_mut());
    opendir(path: *const c_char) -> *mut c_void, refused!(Files, "opendir", path, std::ptr::null_mut());
    stat(path: *const c_char, into: *mut c_void) -> c_int, refused!(Files, "stat", path, -1);
    stat64(path: *const c_char, into: *mut c_void) -> c_int, refused!(Files, "stat", path, -1);
    lstat(path: *const c_char, into: *mut c_void) -> c_int, refused!(Files, "lstat", path, -1);
    lstat64(path: *const c_char, into: *mut c_void) -> c_int, refused!(Files, "lstat", path, -1);
    fstatat(at: c_int, path: *const c_char, into: *mut c_void, flags: c_int) -> c_int, refused!(Files, "fstatat", path, -1);
    fstatat64(at: c_int, path: *const c_char, into: *mut c_void, flags: c_int) -> c_int, refused!(Files, "fstatat", path, -1);
    statx(at: c_int, path: *const c_char, flags: c_int, mask: c_uint, into: *mut c_void) -> c_int,
        refused!(Files, "statx", path, -1);
    access(path: *const c_char, mode: c_int) -> c_int, refused!(Files, "access", path, -1);
    faccessat(at: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int, refused!(Files, "faccessat", path, -1);
    readlink(path: *const c_char, into: *mut c_char, size: usize) -> isize, refused!(Files, "readlink", path, -1);
    realpath(path: *const c_char, into: *mut c_char) -> *mut c_char, refused!(Files, "realpath", path, std::ptr::null_mut());
    getcwd(into: *mut c_char, size: usize) -> *mut c_char, refused!(Files, "getcwd", std::ptr::null_mut());
    chdir(path: *const c_char) -> c_int, refused!(Files, "chdir", path, -1);
    mkdir(path: *const c_char, mode: c_uint) -> c_int, refused!(Files, "mkdir", path, -1);
    mkdirat(at: c_int, path: *const c_char, mode: c_uint) -> c_int, refused!(Files, "mkdirat", path, -1);
    rmdir(path: *const c_char) -> c_int, refused!(Files, "rmdir", path, -1);
    unlink(path: *const c_char) -> c_int, refused!(Files, "unlink", path, -1);
    unlinkat(at: c_int, path: *const c_char, flags: c_int) -> c_int, refused!(Files, "unlinkat", path, -1);
    remove(path: *const c_char) -> c_int, refused!(Files, "remove", path, -1);
    rename(from: *const c_char, to: *const c_char) -> c_int, refused!(Files, "rename", from, -1);
    renameat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char) -> c_int,
        refused!(Files, "renameat", from, -1);
    link(from: *const c_char, to: *const c_char) -> c_int, refused!(Files, "link", from, -1);
    linkat(from_at: c_int, from: *const c_char, to_at: c_int, to: *const c_char, flags: c_int) -> c_int,
        refused!(Files, "linkat", from, -1);
    symlink(from: *const c_char, to: *const c_char) -> c_int, refused!(Files, "symlink", from, -1);
    chmod(path: *const c_char, mode: c_uint) -> c_int, refused!(Files, "chmod", path, -1);
    truncate(path: *const c_char, length: i64) -> c_int, refused!(Files, "truncate", path, -1);
    truncate64(path: *const c_char, length: i64) -> c_int, refused!(Files, "truncate", path, -1);
    mkstemp(template: *mut c_char) -> c_int, refused!(Files, "mkstemp", -1);
    memfd_create(name: *const c_char, flags: c_uint) -> c_int, refused!(Files, "memfd_create", -1);
    read(file: c_int, into: *mut c_void, size: usize) -> isize, match file {
        libc::STDIN_FILENO => refused!(Files, "read", -1),
        // SAFETY: the caller has room for so many bytes.
        _ => is_random_file(file).then(|| unsafe { random(into, size) }),
    };
    close(file: c_int) -> c_int, {
        if is_random_file(file) {
            RANDOM_FILES.with_borrow_mut(|files| files.retain(|open| *open != file));
        }
        None
    };

    // Sockets, pipes and what waits for them.
    socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int, refused!(Sockets, "socket", -1);
    socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int, refused!(Sockets, "socketpair", -1);
    getaddrinfo(node: *const c_char, service: *const c_char, hints: *const c_void, found: *mut c_void) -> c_int,
        refused!(Sockets, "getaddrinfo", libc::EAI_FAIL);
    pipe(ends: *mut c_int) -> c_int, refused!(Sockets, "pipe", -1);
    pipe2(ends: *mut c_int, flags: c_int) -> c_int, refused!(Sockets, "pipe2", -1);
    epoll_create(size: c_int) -> c_int, refused!(Sockets, "epoll_create", -1);
    epoll_create1(flags: c_int) -> c_int, refused!(Sockets, "epoll_create1", -1);
    eventfd(start: c_uint, flags: c_int) -> c_int, refused!(Sockets, "eventfd", -1);
    timerfd_create(clock: c_int, flags: c_int) -> c_int, refused!(Clocks, "timerfd_create", -1);

    // Threads and processes.
    pthread_create(
        thread: *mut libc::pthread_t, attributes: *const c_void, start: *const c_void, argument: *mut c_void
    ) -> c_int, is_refused(Kind::Threads, "pthread_create", None).then_some(libc::EPERM);
    fork() -> c_int, refused!(Processes, "fork", -1);
    posix_spawn(
        process: *mut c_int, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: *const *const c_char, environment: *const *const c_char
    ) -> c_int, is_refused(Kind::Processes, "posix_spawn", None).then_some(libc::EPERM);
    posix_spawnp(
        process: *mut c_int, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: *const *const c_char, environment: *const *const c_char
    ) -> c_int, is_refused(Kind::Processes, "posix_spawnp", None).then_some(libc::EPERM);
    execve(path: *const c_char, arguments: *const c_void, environment: *const c_void) -> c_int,
        refused!(Processes, "execve", -1);
    execvp(path: *const c_char, arguments: *const c_void) -> c_int, refused!(Processes, "execvp", -1);
    system(command: *const c_char) -> c_int, refused!(Processes, "system", -1);
    kill(process: c_int, signal: c_int) -> c_int, refused!(Processes, "kill", -1);
    exit(code: c_int) -> c_int, {
        ends(End::Exit(code));
        None
    };
    _exit(code: c_int) -> c_int, {
        ends(End::Exit(code));
        None
    };
    abort() -> c_int, {
        ends(End::Abort);
        None
    };
    getpid() -> c_int, Some(PROCESS);
    gettid() -> c_int, Some(PROCESS);
    getppid() -> c_int, Some(0);

    // Time: what blocks is real.
    nanosleep(time: *const c_void, left: *mut c_void) -> c_int, refused!(Sleeps, "nanosleep", 0);
    clock_nanosleep(clock: c_int, flags: c_int, time: *const c_void, left: *mut c_void) -> c_int,
        is_refused(Kind::Sleeps, "clock_nanosleep", None).then_some(0);
    sleep(seconds: c_uint) -> c_uint, refused!(Sleeps, "sleep", 0);
    usleep(micros: c_uint) -> c_int, refused!(Sleeps, "usleep", 0);
    time(into: *mut libc::time_t) -> libc::time_t, {
        let now = wall_clock().tv_sec;
        if !into.is_null() {
            // SAFETY: the caller says where the answer goes.
            unsafe { *into = now };
        }
        Some(now)
    };
    clock() -> c_long, refused!(Clocks, "clock", -1);
    times(into: *mut c_void) -> c_long, refused!(Clocks, "times", -1);
    getrusage(whose: c_int, into: *mut c_void) -> c_int, refused!(Clocks, "getrusage", -1);

    // Whatever has no function, or is called by its number.
    syscall(number: Word, a: Word, b: Word, c: Word, d: Word, e: Word, f: Word) -> Word, {
        // SAFETY: the caller passes what the call of this number wants.
        unsafe { by_number(number, [a, b, d]) }
    };
}

/// The answer to a system call by its number.
///
/// # Safety
///
/// The arguments are those that the call wants.
unsafe fn by_number(number: Word, [a, b, d]: [Word; 3]) -> Option<Word> {
    let path_of = |path: Word| path as *const c_char;
    match number {
        // SAFETY: the caller has room for so many bytes.
        libc::SYS_getrandom => Some(unsafe { random(a as *mut c_void, b as usize) } as Word),
        libc::SYS_gettid | libc::SYS_getpid => Some(Word::from(PROCESS)),
        libc::SYS_clock_gettime if is_virtual(a as c_int) => {
            // SAFETY: the caller says where the answer goes.
            Some(Word::from(unsafe { libc::clock_gettime(a as c_int, b as *mut libc::timespec) }))
        }
        libc::SYS_clock_gettime => refused!(Clocks, "clock_gettime", -1),
        // A wait with an end is a wait in real time. Another wait is a lock's.
        libc::SYS_futex if is_wait(b as c_int) && d != 0 => {
            is_refused(Kind::Sleeps, "futex", None).then(|| fail_with(libc::ETIMEDOUT, -1))
        }
        libc::SYS_nanosleep | libc::SYS_clock_nanosleep => refused!(Sleeps, "nanosleep", 0),
        libc::SYS_openat | libc::SYS_openat2 => {
            let path = path_of(b);
            opened!("openat", path).map(Word::from)
        }
        libc::SYS_statx | libc::SYS_newfstatat | libc::SYS_unlinkat | libc::SYS_renameat2 | libc::SYS_faccessat2 => {
            let path = path_of(b);
            refused!(Files, "a system call on a file", path, -1)
        }
        libc::SYS_memfd_create => refused!(Files, "memfd_create", -1),
        libc::SYS_socket | libc::SYS_pipe2 => refused!(Sockets, "socket", -1),
        libc::SYS_clone | libc::SYS_clone3 | libc::SYS_execve => refused!(Processes, "clone", -1),
        _ => older(number, a),
    }
}

/// Calls that newer machines do without.
#[cfg(target_arch = "x86_64")]
fn older(number: Word, a: Word) -> Option<Word> {
    match number {
        libc::SYS_open | libc::SYS_stat | libc::SYS_lstat | libc::SYS_unlink | libc::SYS_mkdir | libc::SYS_rmdir => {
            let path = a as *const c_char;
            refused!(Files, "a system call on a file", path, -1)
        }
        libc::SYS_fork | libc::SYS_vfork => refused!(Processes, "fork", -1),
        libc::SYS_time => Some(wall_clock().tv_sec),
        _ => None,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn older(_: Word, _: Word) -> Option<Word> {
    None
}

fn is_wait(operation: c_int) -> bool {
    let command = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    command == libc::FUTEX_WAIT || command == libc::FUTEX_WAIT_BITSET
}
