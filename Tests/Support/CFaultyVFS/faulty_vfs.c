// The VFS itself: every method counts, perhaps fails, and passes on. What the power model needs is in disk_model.c.

#include "CFaultyVFS.h"
#include "disk_model.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PLANS = 64 };

struct plan {
    int is_used;
    char prefix[1024];
    struct faulty_plan what;
    int64_t count;
    int64_t failures;
    int is_dark;
    struct disk disk;
};

struct faulty_file {
    sqlite3_file base;
    int plan;
    struct disk_file *model;
    sqlite3_file *real;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct plan plans[MAX_PLANS];
static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;

// MARK: plans

static int plan_of(const char *path) {
    for (int index = 0; path && index < MAX_PLANS; index++) {
        if (plans[index].is_used && !strncmp(path, plans[index].prefix, strlen(plans[index].prefix))) return index;
    }
    return -1;
}

/// Counts an operation. Whether it has to fail; the lock is held.
static int must_fail(int index, uint32_t operation) {
    if (index < 0) return 0;
    struct plan *plan = &plans[index];
    if (!plan->is_used) return 0;
    if (plan->is_dark) return 1;
    if (!(plan->what.operations & operation)) return 0;
    plan->count++;
    if (plan->what.mode == FAULTY_COUNT || plan->what.at == 0) return 0;
    int is_time = plan->what.is_lasting ? plan->count >= plan->what.at : plan->count == plan->what.at;
    if (!is_time) return 0;
    plan->failures++;
    if (plan->what.mode == FAULTY_POWER) plan->is_dark = 1;
    return 1;
}

static int counts(int index, uint32_t operation) {
    pthread_mutex_lock(&lock);
    int fails = must_fail(index, operation);
    pthread_mutex_unlock(&lock);
    return fails;
}

int faulty_begin(const char *prefix, struct faulty_plan what) {
    pthread_mutex_lock(&lock);
    int found = -1;
    for (int index = 0; index < MAX_PLANS && found < 0; index++) {
        if (!plans[index].is_used) found = index;
    }
    if (found >= 0 && strlen(prefix) < sizeof plans[found].prefix) {
        memset(&plans[found], 0, sizeof plans[found]);
        strcpy(plans[found].prefix, prefix);
        plans[found].what = what;
        plans[found].is_used = 1;
    } else {
        found = -1;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

void faulty_change(int plan, struct faulty_plan what) {
    pthread_mutex_lock(&lock);
    plans[plan].what = what;
    plans[plan].count = 0;
    plans[plan].failures = 0;
    pthread_mutex_unlock(&lock);
}

int64_t faulty_count(int plan) {
    pthread_mutex_lock(&lock);
    int64_t count = plans[plan].count;
    pthread_mutex_unlock(&lock);
    return count;
}

int64_t faulty_failures(int plan) {
    pthread_mutex_lock(&lock);
    int64_t failures = plans[plan].failures;
    pthread_mutex_unlock(&lock);
    return failures;
}

void faulty_end(int plan) {
    pthread_mutex_lock(&lock);
    disk_free(&plans[plan].disk);
    plans[plan].is_used = 0;
    pthread_mutex_unlock(&lock);
}

int faulty_restore_power(int plan, uint64_t seed) {
    pthread_mutex_lock(&lock);
    int result = disk_restore(&plans[plan].disk, seed);
    disk_free(&plans[plan].disk);
    plans[plan].is_used = 0;
    pthread_mutex_unlock(&lock);
    return result;
}

// MARK: files

static sqlite3_file *real(sqlite3_file *file) { return ((struct faulty_file *)file)->real; }

static int file_close(sqlite3_file *file) {
    struct faulty_file *faulty = (struct faulty_file *)file;
    int result = faulty->real->pMethods ? faulty->real->pMethods->xClose(faulty->real) : SQLITE_OK;
    free(faulty->real);
    faulty->real = NULL;
    return result;
}

static int file_read(sqlite3_file *file, void *bytes, int count, sqlite3_int64 offset) {
    if (counts(((struct faulty_file *)file)->plan, FAULTY_READ)) return SQLITE_IOERR_READ;
    return real(file)->pMethods->xRead(real(file), bytes, count, offset);
}

/// The part of a failed write that happens all the same.
static int write_partly(struct faulty_file *file, enum faulty_mode mode, const void *bytes, int count, sqlite3_int64 at) {
    int half = count / 2;
    switch (mode) {
    case FAULTY_SHORT:
        file->real->pMethods->xWrite(file->real, bytes, half, at);
        return SQLITE_FULL;
    case FAULTY_TORN: {
        char *torn = malloc((size_t)count);
        if (!torn) return SQLITE_NOMEM;
        memcpy(torn, bytes, (size_t)half);
        memset(torn + half, 0xA5, (size_t)(count - half));
        file->real->pMethods->xWrite(file->real, torn, count, at);
        free(torn);
        return SQLITE_IOERR_WRITE;
    }
    case FAULTY_FULL:
        return SQLITE_FULL;
    case FAULTY_READ_ONLY:
        return SQLITE_READONLY;
    default:
        return SQLITE_IOERR_WRITE;
    }
}

static int file_write(sqlite3_file *file, const void *bytes, int count, sqlite3_int64 offset) {
    struct faulty_file *faulty = (struct faulty_file *)file;
    pthread_mutex_lock(&lock);
    int was_dark = faulty->plan >= 0 && plans[faulty->plan].is_dark;
    int fails = must_fail(faulty->plan, FAULTY_WRITE);
    if (faulty->model && !was_dark) disk_write(faulty->model, bytes, (size_t)count, (uint64_t)offset);
    enum faulty_mode mode = fails ? plans[faulty->plan].what.mode : FAULTY_COUNT;
    pthread_mutex_unlock(&lock);
    if (fails) return write_partly(faulty, mode, bytes, count, offset);
    return real(file)->pMethods->xWrite(real(file), bytes, count, offset);
}

static int file_truncate(sqlite3_file *file, sqlite3_int64 size) {
    struct faulty_file *faulty = (struct faulty_file *)file;
    pthread_mutex_lock(&lock);
    int fails = must_fail(faulty->plan, FAULTY_TRUNCATE);
    if (faulty->model && !fails) disk_truncate(faulty->model, (uint64_t)size);
    pthread_mutex_unlock(&lock);
    return fails ? SQLITE_IOERR_TRUNCATE : real(file)->pMethods->xTruncate(real(file), size);
}

static int file_sync(sqlite3_file *file, int flags) {
    struct faulty_file *faulty = (struct faulty_file *)file;
    pthread_mutex_lock(&lock);
    int fails = must_fail(faulty->plan, FAULTY_SYNC);
    int lies = faulty->plan >= 0 && plans[faulty->plan].what.lies_about_syncs;
    if (faulty->model && !fails && !lies) disk_sync(faulty->model);
    int is_modelled = faulty->model != NULL;
    pthread_mutex_unlock(&lock);
    if (fails) return SQLITE_IOERR_FSYNC;
    // Of a modelled disk nothing is read after a crash but the model.
    return is_modelled || lies ? SQLITE_OK : real(file)->pMethods->xSync(real(file), flags);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *size) {
    return real(file)->pMethods->xFileSize(real(file), size);
}

static int file_lock(sqlite3_file *file, int level) { return real(file)->pMethods->xLock(real(file), level); }

static int file_unlock(sqlite3_file *file, int level) { return real(file)->pMethods->xUnlock(real(file), level); }

static int file_check_lock(sqlite3_file *file, int *result) {
    return real(file)->pMethods->xCheckReservedLock(real(file), result);
}

static int file_control(sqlite3_file *file, int operation, void *argument) {
    return real(file)->pMethods->xFileControl(real(file), operation, argument);
}

static int file_sector_size(sqlite3_file *file) { return real(file)->pMethods->xSectorSize(real(file)); }

static int file_characteristics(sqlite3_file *file) { return real(file)->pMethods->xDeviceCharacteristics(real(file)); }

static int file_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **memory) {
    if (extend && counts(((struct faulty_file *)file)->plan, FAULTY_SHARED_INDEX)) return SQLITE_IOERR_SHMSIZE;
    return real(file)->pMethods->xShmMap(real(file), page, size, extend, memory);
}

static int file_shm_lock(sqlite3_file *file, int offset, int count, int flags) {
    return real(file)->pMethods->xShmLock(real(file), offset, count, flags);
}

static void file_shm_barrier(sqlite3_file *file) { real(file)->pMethods->xShmBarrier(real(file)); }

static int file_shm_unmap(sqlite3_file *file, int deletes) { return real(file)->pMethods->xShmUnmap(real(file), deletes); }

static const sqlite3_io_methods methods = {
    2,
    file_close,
    file_read,
    file_write,
    file_truncate,
    file_sync,
    file_size,
    file_lock,
    file_unlock,
    file_check_lock,
    file_control,
    file_sector_size,
    file_characteristics,
    file_shm_map,
    file_shm_lock,
    file_shm_barrier,
    file_shm_unmap,
    NULL,
    NULL,
};

// MARK: the file system

static int vfs_open(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags, int *out_flags) {
    (void)self;
    struct faulty_file *faulty = (struct faulty_file *)file;
    memset(faulty, 0, sizeof *faulty);
    pthread_mutex_lock(&lock);
    int plan = plan_of(path);
    int fails = must_fail(plan, FAULTY_OPEN);
    int is_modelled = plan >= 0 && plans[plan].what.mode == FAULTY_POWER && !fails;
    faulty->model = is_modelled ? disk_open(&plans[plan].disk, path) : NULL;
    pthread_mutex_unlock(&lock);
    if (fails) return SQLITE_CANTOPEN;
    faulty->plan = plan;
    faulty->real = calloc(1, (size_t)real_vfs->szOsFile);
    if (!faulty->real) return SQLITE_NOMEM;
    int result = real_vfs->xOpen(real_vfs, path, faulty->real, flags, out_flags);
    if (result != SQLITE_OK) {
        file_close(file);
        return result;
    }
    faulty->base.pMethods = &methods;
    return SQLITE_OK;
}

static int vfs_delete(sqlite3_vfs *self, const char *path, int syncs_folder) {
    (void)self;
    pthread_mutex_lock(&lock);
    int plan = plan_of(path);
    int fails = must_fail(plan, FAULTY_DELETE);
    if (plan >= 0 && !fails && plans[plan].what.mode == FAULTY_POWER) {
        disk_delete(&plans[plan].disk, path, syncs_folder);
    }
    pthread_mutex_unlock(&lock);
    return fails ? SQLITE_IOERR_DELETE : real_vfs->xDelete(real_vfs, path, syncs_folder);
}

static int vfs_access(sqlite3_vfs *self, const char *path, int flags, int *result) {
    (void)self;
    return real_vfs->xAccess(real_vfs, path, flags, result);
}

static int vfs_full_pathname(sqlite3_vfs *self, const char *path, int size, char *result) {
    (void)self;
    return real_vfs->xFullPathname(real_vfs, path, size, result);
}

int faulty_install(void) {
    pthread_mutex_lock(&lock);
    int result = SQLITE_OK;
    if (!real_vfs) {
        // As the program has it.
        real_vfs = sqlite3_vfs_find("unix-excl");
        if (real_vfs) {
            // What is not replaced below does not look at its first argument, or works on the copy as well.
            vfs = *real_vfs;
            vfs.zName = "faulty";
            vfs.pNext = NULL;
            vfs.szOsFile = sizeof(struct faulty_file);
            vfs.xOpen = vfs_open;
            vfs.xDelete = vfs_delete;
            vfs.xAccess = vfs_access;
            vfs.xFullPathname = vfs_full_pathname;
            result = sqlite3_vfs_register(&vfs, 1);
        } else {
            result = SQLITE_ERROR;
        }
    }
    pthread_mutex_unlock(&lock);
    return result;
}
