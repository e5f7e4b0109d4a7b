//! What was seen: JSON lines, and what is made of them.

mod junit;
mod matrix;
mod record;

pub use junit::junit;
pub use matrix::{MARK, MARK_END, Matrix, replace_between_marks};
pub(crate) use record::Writer;
pub use record::{Record, read};
