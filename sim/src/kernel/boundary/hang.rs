//! Names the code of a run that does not return to the simulator, when a signal asks for it.

#![allow(unsafe_code)]

use std::ffi::c_int;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::refuse;

/// The thread of the run that began last; 0 if that has ended.
static RUN: AtomicUsize = AtomicUsize::new(0);

/// From now on this signal ends the process if a run is under way, and names the node, the task and the source line that
/// runs. The text goes to stderr, in one line.
///
/// # Errors
///
/// If there is no such signal.
pub fn name_hangs_on(signal: i32) -> std::io::Result<()> {
    // SAFETY: all fields of the struct may be zero.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = asked as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is whole, and its handler touches nothing but this module's static and the thread's own world.
    match unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// Formatting and unwinding are not meant for a signal handler. The process is lost already; whoever asks waits only so long
/// for the answer.
extern "C" fn asked(signal: c_int) {
    if refuse::is_inside() {
        refuse::hangs();
    }
    let run = RUN.load(Ordering::Relaxed);
    if run != 0 {
        // SAFETY: the thread of a run lives until this is zero again. A thread that has ended since is no longer looked for.
        unsafe { libc::pthread_kill(run as libc::pthread_t, signal) };
    }
}

/// Says that this thread's run is under way, until it is dropped.
pub(super) struct UnderWay;

impl UnderWay {
    pub fn begin() -> UnderWay {
        // SAFETY: it only asks for a number.
        RUN.store(unsafe { libc::pthread_self() } as usize, Ordering::Relaxed);
        UnderWay
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        RUN.store(0, Ordering::Relaxed);
    }
}
