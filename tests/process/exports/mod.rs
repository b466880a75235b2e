//! Issue 12, section 4: charging data gets out fast, whole, and in the forms that others read.

mod files;
mod forms;
mod plans;
mod spans;
