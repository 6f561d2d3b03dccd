// Loses what was not synced, sector by sector, as a disk with a cache may.

#include "disk_model.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECTOR = 512 };

static struct disk_file *find(struct disk *disk, const char *path) {
    for (struct disk_file *file = disk->files; file; file = file->next) {
        if (!strcmp(file->path, path)) return file;
    }
    return NULL;
}

static void load(struct disk_file *file) {
    int descriptor = open(file->path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) return;
    off_t size = lseek(descriptor, 0, SEEK_END);
    file->has_name = 1;
    file->synced = size > 0 ? malloc((size_t)size) : NULL;
    if (file->synced) {
        ssize_t count = pread(descriptor, file->synced, (size_t)size, 0);
        file->synced_count = count > 0 ? (size_t)count : 0;
    }
    close(descriptor);
}

struct disk_file *disk_open(struct disk *disk, const char *path) {
    if (!path || strlen(path) >= sizeof disk->files->path) return NULL;
    struct disk_file *file = find(disk, path);
    if (file) {
        // Made again after it was deleted: a new file, and the old one can no longer come back.
        if (file->is_deleted) {
            file->is_deleted = 0;
            disk_truncate(file, 0);
        }
        return file;
    }
    file = calloc(1, sizeof *file);
    if (!file) return NULL;
    strcpy(file->path, path);
    file->last = &file->first;
    load(file);
    file->next = disk->files;
    disk->files = file;
    return file;
}

static void append(struct disk_file *file, const void *bytes, size_t count, uint64_t offset) {
    struct pending *pending = calloc(1, sizeof *pending);
    if (!pending) return;
    pending->offset = offset;
    pending->count = count;
    if (bytes) {
        pending->bytes = malloc(count ? count : 1);
        if (pending->bytes) memcpy(pending->bytes, bytes, count);
    }
    *file->last = pending;
    file->last = &pending->next;
}

void disk_write(struct disk_file *file, const void *bytes, size_t count, uint64_t offset) {
    append(file, bytes, count, offset);
}

void disk_truncate(struct disk_file *file, uint64_t size) { append(file, NULL, 0, size); }

/// Makes the buffer hold `count` bytes, new ones zero.
static int resize(char **bytes, size_t *held, size_t count) {
    char *grown = realloc(*bytes, count ? count : 1);
    if (!grown) return 0;
    if (count > *held) memset(grown + *held, 0, count - *held);
    *bytes = grown;
    *held = count;
    return 1;
}

static void apply(struct disk_file *file, uint64_t offset, const char *bytes, size_t count) {
    size_t end = (size_t)offset + count;
    if (end > file->synced_count && !resize(&file->synced, &file->synced_count, end)) return;
    memcpy(file->synced + offset, bytes, count);
}

static void drop(struct disk_file *file) {
    while (file->first) {
        struct pending *next = file->first->next;
        free(file->first->bytes);
        free(file->first);
        file->first = next;
    }
    file->last = &file->first;
}

void disk_sync(struct disk_file *file) {
    for (struct pending *pending = file->first; pending; pending = pending->next) {
        if (pending->bytes) {
            apply(file, pending->offset, pending->bytes, pending->count);
        } else {
            resize(&file->synced, &file->synced_count, (size_t)pending->offset);
        }
    }
    drop(file);
    // The file system in front syncs the folder with the first sync of a new file.
    file->has_name = 1;
}

void disk_delete(struct disk *disk, const char *path, int is_synced) {
    struct disk_file *file = find(disk, path);
    if (!file) return;
    file->is_deleted = 1;
    file->is_deletion_synced = is_synced;
}

// MARK: after the power went

static uint64_t random_next(uint64_t *state) {
    uint64_t word = (*state += 0x9E3779B97F4A7C15u);
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9u;
    word = (word ^ word >> 27) * 0x94D049BB133111EBu;
    return word ^ word >> 31;
}

/// Applies a choice of the sectors that were written and not synced. `share` of 256 survive.
static void settle(struct disk_file *file, uint64_t share, uint64_t *state) {
    for (struct pending *pending = file->first; pending; pending = pending->next) {
        if (!pending->bytes) {
            if (random_next(state) % 256 < share) resize(&file->synced, &file->synced_count, (size_t)pending->offset);
            continue;
        }
        size_t done = 0;
        while (done < pending->count) {
            size_t piece = SECTOR - (size_t)((pending->offset + done) % SECTOR);
            if (piece > pending->count - done) piece = pending->count - done;
            if (random_next(state) % 256 < share) apply(file, pending->offset + done, pending->bytes + done, piece);
            done += piece;
        }
    }
}

static int store(struct disk_file *file) {
    int descriptor = open(file->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return -errno;
    int result = 0;
    if (ftruncate(descriptor, 0) != 0) result = -errno;
    if (!result && pwrite(descriptor, file->synced, file->synced_count, 0) != (ssize_t)file->synced_count) result = -EIO;
    close(descriptor);
    return result;
}

int disk_restore(struct disk *disk, uint64_t seed) {
    static const uint64_t shares[] = {0, 32, 128, 224, 256};
    int result = 0;
    for (struct disk_file *file = disk->files; file && !result; file = file->next) {
        settle(file, shares[random_next(&seed) % 5], &seed);
        int exists = file->has_name || random_next(&seed) % 2;
        if (file->is_deleted && (file->is_deletion_synced || random_next(&seed) % 2)) exists = 0;
        if (exists) {
            result = store(file);
        } else {
            unlink(file->path);
        }
    }
    return result;
}

void disk_free(struct disk *disk) {
    while (disk->files) {
        struct disk_file *next = disk->files->next;
        drop(disk->files);
        free(disk->files->synced);
        free(disk->files);
        disk->files = next;
    }
}
