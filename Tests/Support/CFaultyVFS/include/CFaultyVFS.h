/// A file system for SQLite that fails on purpose: for tests only.
///
/// It stands in front of SQLite's own and passes everything on, but for files under the path of a plan. There the
/// k-th operation fails, in one of several ways, or the power goes and what was not synced is lost in part, as in
/// SQLite's own tests. Plans with different paths do not disturb each other. Any thread may call.
#ifndef CFAULTYVFS_H
#define CFAULTYVFS_H

#include <stdint.h>

/// Which operations a plan counts, and may make fail.
static const uint32_t FAULTY_WRITE = 1;
static const uint32_t FAULTY_SYNC = 2;
static const uint32_t FAULTY_TRUNCATE = 4;
static const uint32_t FAULTY_OPEN = 8;
static const uint32_t FAULTY_DELETE = 16;
static const uint32_t FAULTY_SHARED_INDEX = 32;
static const uint32_t FAULTY_READ = 64;

enum faulty_mode {
    /// Counts, and fails nothing.
    FAULTY_COUNT = 0,
    /// The operation fails with an I/O error and does nothing.
    FAULTY_EIO = 1,
    /// A write finds no space and does nothing; other operations fail with an I/O error.
    FAULTY_FULL = 2,
    /// A write takes half of the bytes and finds no space.
    FAULTY_SHORT = 3,
    /// A write leaves half of its bytes and garbage after them, and fails with an I/O error.
    FAULTY_TORN = 4,
    /// The power goes: this and every later operation fails. See `faulty_restore_power`.
    FAULTY_POWER = 5,
    /// A write finds the file system mounted read-only and does nothing.
    FAULTY_READ_ONLY = 6,
};

/// What is to fail.
struct faulty_plan {
    /// `FAULTY_…` bits.
    uint32_t operations;
    enum faulty_mode mode;
    /// Counts from 1; 0 for never.
    int64_t at;
    /// Every counted operation from `at` on fails, not only that one.
    int is_lasting;
    /// Syncs do nothing and say that they did.
    int lies_about_syncs;
};

/// Puts the file system in front; a second call does nothing. Returns 0, or an SQLite result.
int faulty_install(void);
/// Starts a plan for all files whose path begins with `prefix`, opened from now on. Returns its number; -1 where there
/// are too many.
int faulty_begin(const char *prefix, struct faulty_plan plan);
/// Makes a plan do something else from now on, also with files that are open. Counts begin anew.
void faulty_change(int plan, struct faulty_plan what);
/// The operations counted so far.
int64_t faulty_count(int plan);
/// The operations that were made to fail so far.
int64_t faulty_failures(int plan);
/// Ends a plan of mode `FAULTY_POWER` whose files are all closed, and gives each file, in place, the contents that a
/// disk could have: what was synced, and of what was written later a choice of sectors by `seed`. Returns 0 or a
/// negated errno.
int faulty_restore_power(int plan, uint64_t seed);
/// Ends a plan.
void faulty_end(int plan);

#endif
