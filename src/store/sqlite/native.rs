//! What sqlx does not wrap: the authorizer, an exact sum of decimals, and switches of a connection.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;
use std::str::FromStr;
use std::sync::Arc;

use bigdecimal::BigDecimal;
use libsqlite3_sys as ffi;
use sqlx::sqlite::LockedSqliteHandle;

use super::control::Control;
use crate::store::{DbError, DbErrorKind};

/// The exact sum of a decimal column. SQLite's own `sum` would make floating-point numbers of them.
pub const DECIMAL_SUM: &str = "moondock_decimal_sum";

/// The largest value, in bytes. A row of the host's own can be larger than one of a plugin.
const MAX_VALUE: c_int = 64 * 1024 * 1024;
/// The longest pattern of LIKE and GLOB, in bytes: a thousand characters, each escaped.
const MAX_PATTERN: c_int = 8 * 1024;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Prepares a new connection.
///
/// # Safety
/// `db` is an open connection that nobody else uses meanwhile.
pub unsafe fn set_up(db: *mut ffi::sqlite3, control: &Arc<Control>) -> Result<(), Failure> {
    // An unknown name in double quotes is an error, not a text; and nobody writes to the schema.
    for (switch, on) in [
        (ffi::SQLITE_DBCONFIG_DQS_DML, 0),
        (ffi::SQLITE_DBCONFIG_DQS_DDL, 0),
        (ffi::SQLITE_DBCONFIG_DEFENSIVE, 1),
        // Without it a statement with LIMIT ? is compiled anew whenever the limit is bound.
        (ffi::SQLITE_DBCONFIG_ENABLE_QPSG, 1),
        // A damaged or hostile schema must not run code.
        (ffi::SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    ] {
        configure(db, switch, on)?;
    }
    for (limit, most) in [
        // Of one value, and so of what an expression can make: without it a gigabyte.
        (ffi::SQLITE_LIMIT_LENGTH, MAX_VALUE),
        // Matching takes time that grows with the wildcards, and nothing can interrupt it.
        (ffi::SQLITE_LIMIT_LIKE_PATTERN_LENGTH, MAX_PATTERN),
    ] {
        // SAFETY: `db` is open, and the lock keeps others from using it.
        unsafe { ffi::sqlite3_limit(db, limit, most) };
    }
    // SAFETY: `db` is open, and the lock keeps others from using it. The name is a C string; the
    // callbacks have the signatures that SQLite wants and do not unwind.
    let made = unsafe {
        ffi::sqlite3_create_function_v2(
            db,
            c"moondock_decimal_sum".as_ptr(),
            1,
            ffi::SQLITE_UTF8 | ffi::SQLITE_DETERMINISTIC | ffi::SQLITE_INNOCUOUS,
            ptr::null_mut(),
            None,
            Some(sum_step),
            Some(sum_final),
            None,
        )
    };
    if made != ffi::SQLITE_OK {
        return Err(format!("SQLite refuses the function {DECIMAL_SUM} (code {made})").into());
    }
    // SQLite keeps the pointer as long as the connection, which lives on in a thread of its own for
    // a moment after it was dropped here. So this count is never given back: some bytes for each
    // connection, of which there are few.
    let control = Arc::into_raw(Arc::clone(control));
    // SAFETY: as above; `control` stays valid for ever.
    let set = unsafe {
        ffi::sqlite3_set_authorizer(db, Some(authorize), control.cast_mut().cast::<c_void>())
    };
    if set != ffi::SQLITE_OK {
        return Err(format!("SQLite refuses the authorizer (code {set})").into());
    }
    Ok(())
}

/// Turns the enforcement of foreign keys on or off. Unlike the pragma this works inside a
/// transaction.
pub fn enforce_foreign_keys(
    handle: &mut LockedSqliteHandle<'_>,
    enforced: bool,
) -> Result<(), DbError> {
    let db = handle.as_raw_handle().as_ptr();
    configure(db, ffi::SQLITE_DBCONFIG_ENABLE_FKEY, c_int::from(enforced))
        .map_err(|error| DbError::new(DbErrorKind::Internal, error.to_string()))
}

fn configure(db: *mut ffi::sqlite3, switch: c_int, on: c_int) -> Result<(), Failure> {
    // SAFETY: `db` is open and locked by the caller; these switches take an int and a pointer to an
    // int, which may be null.
    let done = unsafe { ffi::sqlite3_db_config(db, switch, on, ptr::null_mut::<c_int>()) };
    if done == ffi::SQLITE_OK {
        return Ok(());
    }
    Err(format!("SQLite refuses the switch {switch} (code {done})").into())
}

unsafe extern "C" fn authorize(
    control: *mut c_void,
    action: c_int,
    first: *const c_char,
    second: *const c_char,
    _database: *const c_char,
    _trigger: *const c_char,
) -> c_int {
    // SAFETY: the pointer comes from `set_up` and is never freed.
    let control = unsafe { &*control.cast::<Control>() };
    let text = |text: *const c_char| {
        if text.is_null() {
            return "";
        }
        // SAFETY: SQLite gives C strings that outlive the call. What is not UTF-8 is nobody's name.
        unsafe { CStr::from_ptr(text) }.to_str().unwrap_or("\u{fffd}")
    };
    if control.allows(action, text(first), text(second)) {
        ffi::SQLITE_OK
    } else {
        ffi::SQLITE_DENY
    }
}

/// What the sum of a group is so far; `None` after something that is no decimal.
struct Sum(Option<BigDecimal>);

unsafe extern "C" fn sum_step(
    context: *mut ffi::sqlite3_context,
    _count: c_int,
    values: *mut *mut ffi::sqlite3_value,
) {
    // SAFETY: SQLite gives one value, as the function was declared with, and memory for a pointer
    // that is null at the first call of a group. Texts are valid until the value is used again.
    unsafe {
        let value = *values;
        if ffi::sqlite3_value_type(value) == ffi::SQLITE_NULL {
            return;
        }
        let text = ffi::sqlite3_value_text(value);
        let slot = ffi::sqlite3_aggregate_context(context, size_of::<*mut Sum>() as c_int);
        let slot = slot.cast::<*mut Sum>();
        if slot.is_null() || text.is_null() {
            return ffi::sqlite3_result_error_nomem(context);
        }
        let length = usize::try_from(ffi::sqlite3_value_bytes(value)).unwrap_or(0);
        let bytes = std::slice::from_raw_parts(text, length);
        let number = std::str::from_utf8(bytes).ok().and_then(|t| BigDecimal::from_str(t).ok());
        if (*slot).is_null() {
            *slot = Box::into_raw(Box::new(Sum(number)));
            return;
        }
        let sum = &mut **slot;
        sum.0 = match (sum.0.take(), number) {
            (Some(sum), Some(number)) => Some(sum + number),
            _ => None,
        };
    }
}

unsafe extern "C" fn sum_final(context: *mut ffi::sqlite3_context) {
    // SAFETY: with a size of 0 SQLite gives the memory of `sum_step`, or null if it was never
    // called; the box in it is taken back here, the one time that this is called for a group.
    unsafe {
        let slot = ffi::sqlite3_aggregate_context(context, 0).cast::<*mut Sum>();
        if slot.is_null() || (*slot).is_null() {
            return ffi::sqlite3_result_null(context);
        }
        let sum = Box::from_raw(*slot);
        *slot = ptr::null_mut();
        let Some(sum) = sum.0 else {
            let message = c"a value in the column is no decimal";
            return ffi::sqlite3_result_error(context, message.as_ptr(), -1);
        };
        let text = sum.to_plain_string();
        match c_int::try_from(text.len()) {
            Ok(length) => ffi::sqlite3_result_text(
                context,
                text.as_ptr().cast::<c_char>(),
                length,
                ffi::SQLITE_TRANSIENT(),
            ),
            Err(_) => ffi::sqlite3_result_error_toobig(context),
        }
    }
}
