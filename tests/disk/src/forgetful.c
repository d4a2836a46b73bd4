/* A disk that forgets what was not synced.
 *
 * Preloaded into a process, it keeps for each regular file below FORGETFUL_DIR what every write and
 * truncation since the file's last fsync or fdatasync has overwritten: one file of records per inode
 * in FORGETFUL_UNDO, {offset, size of the file before, length, old bytes}, numbers as native u64.
 * Whoever kills the process applies the records backwards, and has what power loss would leave.
 *
 * Not covered: directory entries (creating, renaming and removing last at once), writes through
 * mmap, fallocate, copy_file_range, and calls that bypass the C library. A write through O_SYNC or
 * O_DSYNC is forgotten like any other. All calls wait for each other.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static void fail(const char *what) {
    dprintf(2, "forgetful: %s: %s\n", what, strerror(errno));
    abort();
}

static int below(const char *path, const char *dir) {
    size_t length = dir ? strlen(dir) : 0;
    return length && strncmp(path, dir, length) == 0 && path[length] == '/';
}

/* Whether the file is one of ours; fills in its state. */
static int is_ours(int fd, struct stat *state) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length <= 0) return 0;
    path[length] = 0;
    if (!below(path, getenv("FORGETFUL_DIR"))) return 0;
    return fstat(fd, state) == 0 && S_ISREG(state->st_mode);
}

static void undo_path(char *path, size_t size, const struct stat *state) {
    snprintf(path, size, "%s/%llu", getenv("FORGETFUL_UNDO"), (unsigned long long)state->st_ino);
}

/* Straight to the kernel: the calls below are replaced in this process. */
static void append_undo(const struct stat *state, const void *bytes, size_t length) {
    char path[4096];
    undo_path(path, sizeof path, state);
    int undo = syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (undo < 0) fail(path);
    if (syscall(SYS_write, undo, bytes, length) != (ssize_t)length) fail(path);
    syscall(SYS_close, undo);
}

/* Keeps what lies from offset on, at most length bytes of it. */
static void keep(int fd, const struct stat *state, off_t offset, size_t length) {
    size_t old = offset < state->st_size ? (size_t)(state->st_size - offset) : 0;
    if (old > length) old = length;
    size_t head = 3 * sizeof(uint64_t);
    char *record = malloc(head + old);
    uint64_t numbers[3] = {(uint64_t)offset, (uint64_t)state->st_size, old};
    memcpy(record, numbers, head);
    if (old) {
        /* The descriptor may be open for writing only. */
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        int reading = syscall(SYS_openat, AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
        if (reading < 0) fail(link);
        for (size_t have = 0; have < old;) {
            ssize_t got = pread(reading, record + head + have, old - have, offset + (off_t)have);
            if (got <= 0) fail("read what is overwritten");
            have += (size_t)got;
        }
        syscall(SYS_close, reading);
    }
    append_undo(state, record, head + old);
    free(record);
}

static void keep_write(int fd, off_t offset, size_t length) {
    struct stat state;
    if (length == 0 || !is_ours(fd, &state)) return;
    if (offset < 0) {
        int appends = fcntl(fd, F_GETFL) & O_APPEND;
        offset = appends ? state.st_size : lseek(fd, 0, SEEK_CUR);
    }
    keep(fd, &state, offset, length);
}

static size_t total(const struct iovec *parts, int count) {
    size_t sum = 0;
    for (int i = 0; i < count; i++) sum += parts[i].iov_len;
    return sum;
}

#define GUARDED(type, before, call)       \
    pthread_mutex_lock(&lock);            \
    before;                               \
    type result = call;                   \
    int error = errno;                    \
    pthread_mutex_unlock(&lock);          \
    errno = error;                        \
    return result

ssize_t write(int fd, const void *bytes, size_t length) {
    struct stat state;
    /* Pipes may block, and are nobody's disk. */
    if (!is_ours(fd, &state)) return REAL(write)(fd, bytes, length);
    GUARDED(ssize_t, keep_write(fd, -1, length), REAL(write)(fd, bytes, length));
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    struct stat state;
    if (!is_ours(fd, &state)) return REAL(writev)(fd, parts, count);
    GUARDED(ssize_t, keep_write(fd, -1, total(parts, count)), REAL(writev)(fd, parts, count));
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
    GUARDED(ssize_t, keep_write(fd, at, length), REAL(pwrite)(fd, bytes, length, at));
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off_t at) {
    return pwrite(fd, bytes, length, at);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at) {
    GUARDED(ssize_t, keep_write(fd, at, total(parts, count)), REAL(pwritev)(fd, parts, count, at));
}

ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at) {
    return pwritev(fd, parts, count, at);
}

static void keep_size(int fd, off_t size) {
    struct stat state;
    if (is_ours(fd, &state)) keep(fd, &state, size, SIZE_MAX);
}

int ftruncate(int fd, off_t size) {
    GUARDED(int, keep_size(fd, size), REAL(ftruncate)(fd, size));
}

int ftruncate64(int fd, off_t size) { return ftruncate(fd, size); }

/* From here on the file has nothing to forget. */
static void forget_undo(int fd) {
    struct stat state;
    char path[4096];
    if (!is_ours(fd, &state)) return;
    undo_path(path, sizeof path, &state);
    if (unlink(path) != 0 && errno != ENOENT) fail(path);
}

#define SYNC(name)                                   \
    int name(int fd) {                               \
        pthread_mutex_lock(&lock);                   \
        int result = REAL(name)(fd), error = errno;  \
        if (result == 0) forget_undo(fd);            \
        pthread_mutex_unlock(&lock);                 \
        errno = error;                               \
        return result;                               \
    }

SYNC(fsync)
SYNC(fdatasync)

/* A new file may have the inode of a removed one; truncating while opening is a truncation. */
static int open_at(int dir, const char *path, int flags, mode_t mode) {
    pthread_mutex_lock(&lock);
    int is_new = (flags & O_CREAT) && faccessat(dir, path, F_OK, AT_SYMLINK_NOFOLLOW) != 0;
    int cuts = (flags & O_TRUNC) && !is_new;
    int fd = syscall(SYS_openat, dir, path, cuts ? flags & ~O_TRUNC : flags, mode), error = errno;
    if (fd >= 0 && is_new) forget_undo(fd);
    struct stat state;
    if (fd >= 0 && cuts && fstat(fd, &state) == 0 && S_ISREG(state.st_mode)) {
        keep_size(fd, 0);
        if (syscall(SYS_ftruncate, fd, 0) != 0) fail(path);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE(flags, last, mode)                     \
    mode_t mode = 0;                                \
    if ((flags) & O_CREAT) {                        \
        va_list rest;                               \
        va_start(rest, last);                       \
        mode = va_arg(rest, mode_t);                \
        va_end(rest);                               \
    }

int open(const char *path, int flags, ...) {
    MODE(flags, flags, mode);
    return open_at(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags, flags, mode);
    return open_at(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int openat(int dir, const char *path, int flags, ...) {
    MODE(flags, flags, mode);
    return open_at(dir, path, flags, mode);
}

int openat64(int dir, const char *path, int flags, ...) {
    MODE(flags, flags, mode);
    return open_at(dir, path, flags | O_LARGEFILE, mode);
}
