/// What a disk holds: the bytes that were synced, and the writes that were not.
#ifndef DISK_MODEL_H
#define DISK_MODEL_H

#include <stddef.h>
#include <stdint.h>

/// A write, or a truncation where `bytes` is null, that no sync followed.
struct pending {
    struct pending *next;
    uint64_t offset;
    size_t count;
    char *bytes;
};

struct disk_file {
    struct disk_file *next;
    char path[1024];
    /// As of the last sync.
    char *synced;
    size_t synced_count;
    /// Its name is on the disk.
    int has_name;
    /// It was deleted; a name that is on the disk may still be.
    int is_deleted;
    int is_deletion_synced;
    struct pending *first;
    struct pending **last;
};

struct disk {
    struct disk_file *files;
};

/// The model of a file; at the first time it is what the real file holds. NULL where memory is short.
struct disk_file *disk_open(struct disk *disk, const char *path);
void disk_write(struct disk_file *file, const void *bytes, size_t count, uint64_t offset);
void disk_truncate(struct disk_file *file, uint64_t size);
void disk_sync(struct disk_file *file);
void disk_delete(struct disk *disk, const char *path, int is_synced);
/// Gives every real file what the disk could hold after the power went.
int disk_restore(struct disk *disk, uint64_t seed);
void disk_free(struct disk *disk);

#endif
