//! What can go wrong below a root.

use lathe_tree::FileKind;
use std::io;
use std::path::Path;
use std::path::PathBuf;

pub type Result<T> = std::result::Result<T, Error>;

/// Failure of an operation below a root. Paths are those inside the root.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A system call failed.
    #[error("{operation} `{}`", path.display())]
    Io { operation: &'static str, path: PathBuf, source: io::Error },
    /// The path cannot be the object of the operation.
    #[error("path `{}` {fault}", path.display())]
    Path { path: PathBuf, fault: PathFault },
    /// Something else was expected at this path.
    #[error("`{}` is a {found:?}, not a {wanted:?}", path.display())]
    Kind { path: PathBuf, found: FileKind, wanted: FileKind },
    /// The file is longer than the caller is willing to read.
    #[error("`{}` is longer than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    /// A file was to be copied to where a directory is.
    #[error("cannot replace directory `{}` with a file", path.display())]
    ReplaceDirectory { path: PathBuf },
    /// A directory was to be made where something else is.
    #[error("cannot make directory `{}`, which is something else", path.display())]
    ReplaceFile { path: PathBuf },
    /// A file was to be copied to where a directory is.
    #[error("cannot copy file `{}` over directory `{}`", from.display(), to.display())]
    FileOverDirectory { from: PathBuf, to: PathBuf },
    /// A directory was to be copied to where something else is.
    #[error("cannot copy directory `{}` over file `{}`", from.display(), to.display())]
    DirectoryOverFile { from: PathBuf, to: PathBuf },
}

/// Why a path is refused before the kernel is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathFault {
    #[error("names the root itself")]
    IsRoot,
    #[error("contains a NUL byte")]
    Nul,
    #[error("follows too many symbolic links")]
    TooManyLinks,
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path, source: impl Into<io::Error>) -> Self {
        Self::Io { operation, path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn path(path: &Path, fault: PathFault) -> Self {
        Self::Path { path: path.to_owned(), fault }
    }

    /// Says what was copied, where the error is that something else is at the destination.
    pub(crate) fn of_copy(self, from: impl FnOnce() -> PathBuf) -> Self {
        match self {
            Self::ReplaceDirectory { path } => Self::FileOverDirectory { from: from(), to: path },
            Self::ReplaceFile { path } => Self::DirectoryOverFile { from: from(), to: path },
            other => other,
        }
    }

    /// Returns the kind of the system's error, when the system failed.
    pub fn io_kind(&self) -> Option<io::ErrorKind> {
        match self {
            Self::Io { source, .. } => Some(source.kind()),
            _ => None,
        }
    }

    /// Returns the system's error number, when the system failed.
    pub fn raw_os_error(&self) -> Option<i32> {
        match self {
            Self::Io { source, .. } => source.raw_os_error(),
            _ => None,
        }
    }

    /// Returns whether the reason is that nothing is at the path.
    pub fn is_not_found(&self) -> bool {
        matches!(self.io_kind(), Some(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory))
    }
}

/// Adds operation and path to the result of a system call.
pub(crate) trait Located<T> {
    fn at(self, operation: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T>;
}

impl<T, E: Into<io::Error>> Located<T> for std::result::Result<T, E> {
    fn at(self, operation: &'static str, path: impl FnOnce() -> PathBuf) -> Result<T> {
        self.map_err(|source| Error::Io { operation, path: path(), source: source.into() })
    }
}
