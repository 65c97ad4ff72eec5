/* The physical limit of receiving by C-STORE: what a machine, its kernel and its disk give to a program that does
 * nothing else. One thread an association, one buffer, no decoding, no index, no check of who calls.
 *
 *     limit PORT FOLDER synced|unsynced
 *
 * It keeps a file as the node does: written in FOLDER/incoming, renamed to FOLDER/kept/xx/<uid>.dcm (256 folders),
 * file and folder synced, and only then answered. `unsynced` leaves both syncs out. TCP_NODELAY is set and
 * TCP_QUICKACK armed again after each read, so that a sender with Nagle on is not held up (PS3.8, PS3.7 9.3.1).
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "wire.h"

enum { BUFFER = 1 << 18, MAX_PDU = 1 << 20, UID = 65, FOLDERS = 256 };

static bool synced;
static int incoming, kept[FOLDERS]; /* open directories */

typedef struct {
    int socket, file;
    uint8_t *bytes; /* what was read and not yet used is bytes[start, end) */
    size_t start, end;
    char syntaxes[256][UID]; /* by presentation context id */
    uint8_t command[4096];
    size_t command_length;
    char sop_class[UID], instance[UID], part[40];
    uint16_t message_id;
} Association;

static bool copy_uid(char *to, const uint8_t *from, size_t length) {
    if (length >= UID) return false;
    memcpy(to, from, length);
    to[length] = 0;
    return true;
}

/* Reads until `wanted` bytes lie in one piece at bytes + start; false when the peer is gone. */
static bool fill(Association *a, size_t wanted) {
    static const int on = 1;
    if (a->start == a->end) a->start = a->end = 0;
    if (BUFFER - a->start < wanted) {
        memmove(a->bytes, a->bytes + a->start, a->end - a->start);
        a->end -= a->start;
        a->start = 0;
    }
    while (a->end - a->start < wanted) {
        ssize_t got = recv(a->socket, a->bytes + a->end, BUFFER - a->end, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        setsockopt(a->socket, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
        a->end += (size_t)got;
    }
    return true;
}

static bool write_all(int file, const uint8_t *bytes, size_t length) {
    while (length) {
        ssize_t done = write(file, bytes, length);
        if (done < 0 && errno == EINTR) continue;
        if (done <= 0) return false;
        bytes += done;
        length -= (size_t)done;
    }
    return true;
}

/* Accepts every context in the first transfer syntax that is proposed for it (PS3.8 9.3.2, 9.3.3). */
static bool associate(Association *a) {
    if (!fill(a, 6)) return false;
    size_t length = big32(a->bytes + a->start + 2);
    if (a->bytes[a->start] != 1 || length < 68 || length > BUFFER - 6 || !fill(a, 6 + length)) return false;
    const uint8_t *request = a->bytes + a->start + 6;
    static const char context_name[] = "1.2.840.10008.3.1.1.1", implementation[] = "2.25.204735211843284302871920823";
    uint8_t answer[65536], *p = answer + 6;
    memcpy(p, request, 68); /* version and both AE titles, as they came */
    p = put_item(p + 68, 0x10, context_name, sizeof context_name - 1);
    for (size_t at = 68; at + 4 <= length; at += 4u + big16(request + at + 2)) {
        if (request[at] != 0x20) continue;
        const uint8_t *context = request + at + 4, *end = context + big16(request + at + 2);
        for (const uint8_t *item = context + 4; item + 4 <= end; item += 4 + big16(item + 2)) {
            if (item[0] != 0x40) continue;
            if (!copy_uid(a->syntaxes[context[0]], item + 4, big16(item + 2))) return false;
            uint8_t result[4 + 4 + UID] = {context[0], 0, 0, 0};
            uint8_t *tail = put_item(result + 4, 0x40, item + 4, big16(item + 2));
            p = put_item(p, 0x21, result, (uint16_t)(tail - result));
            break;
        }
    }
    uint8_t user[128], *tail, maximum[4];
    put_big32(maximum, MAX_PDU);
    tail = put_item(user, 0x51, maximum, 4);
    tail = put_item(tail, 0x52, implementation, sizeof implementation - 1);
    p = put_item(p, 0x50, user, (uint16_t)(tail - user));
    answer[0] = 2;
    answer[1] = 0;
    put_big32(answer + 2, (uint32_t)(p - answer - 6));
    a->start += 6 + length;
    return write_all(a->socket, answer, (size_t)(p - answer));
}

static uint8_t *put_meta(uint8_t *p, uint8_t element, const char *uid) {
    size_t length = strlen(uid), even = length + (length & 1);
    const uint8_t head[8] = {2, 0, element, 0, 'U', 'I', (uint8_t)even, 0};
    memcpy(p, head, 8);
    p[8 + length] = 0;
    memcpy(p + 8, uid, length);
    return p + 8 + even;
}

/* Opens a file in incoming and writes its preamble and File Meta Information (PS3.10 7.1). */
static bool open_part(Association *a, uint8_t context) {
    static unsigned long count;
    snprintf(a->part, sizeof a->part, "%lx.part", __atomic_add_fetch(&count, 1, __ATOMIC_RELAXED));
    a->file = openat(incoming, a->part, O_CREAT | O_WRONLY | O_EXCL | O_CLOEXEC, 0644);
    if (a->file < 0) return false;
    uint8_t head[512] = {0}, *p = head + 144;
    static const uint8_t version[14] = {2, 0, 1, 0, 'O', 'B', 0, 0, 2, 0, 0, 0, 0, 1};
    memcpy(p, version, sizeof version);
    p = put_meta(p + sizeof version, 0x02, a->sop_class);
    p = put_meta(p, 0x03, a->instance);
    p = put_meta(p, 0x10, a->syntaxes[context]);
    p = put_meta(p, 0x12, "2.25.204735211843284302871920823");
    uint32_t length = (uint32_t)(p - head - 144);
    const uint8_t group[12] = {2, 0, 0, 0, 'U', 'L', 4, 0, (uint8_t)length, (uint8_t)(length >> 8), 0, 0};
    memcpy(head + 128, "DICM", 4);
    memcpy(head + 132, group, 12);
    return write_all(a->file, head, (size_t)(p - head));
}

static uint8_t cheap_hash(const char *text) {
    uint32_t hash = 2166136261u; /* FNV-1a */
    while (*text) hash = (hash ^ (uint8_t)*text++) * 16777619u;
    return (uint8_t)(hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24);
}

/* The promise, in the node's order: the final name, then the bytes synced, then the folder that holds the name. */
static bool keep(Association *a) {
    char name[UID + 4];
    snprintf(name, sizeof name, "%s.dcm", a->instance);
    int folder = kept[cheap_hash(a->instance)];
    bool good = renameat(incoming, a->part, folder, name) == 0 && (!synced || fsync(a->file) == 0);
    good = close(a->file) == 0 && good;
    a->file = -1;
    return good && (!synced || fsync(folder) == 0);
}

/* Reads the whole command set, Implicit VR Little Endian (PS3.7 6.3.1); false unless it is a C-STORE request. */
static bool read_command(Association *a) {
    uint16_t field = 0;
    const uint8_t *end = a->command + a->command_length;
    for (const uint8_t *p = a->command; p + 8 <= end; p += 8 + little32(p + 4)) {
        uint32_t length = little32(p + 4);
        if (length > (size_t)(end - p - 8)) return false;
        switch (little16(p + 2)) {
        case 0x0002: if (!copy_uid(a->sop_class, p + 8, length)) return false; break;
        case 0x0100: field = little16(p + 8); break;
        case 0x0110: a->message_id = little16(p + 8); break;
        case 0x1000: if (!copy_uid(a->instance, p + 8, length)) return false; break;
        }
    }
    a->command_length = 0;
    return field == 1 && a->instance[0] && !strchr(a->instance, '/');
}

/* C-STORE-RSP with status 0x0000 (PS3.7 9.3.1.2). */
static bool answer(Association *a, uint8_t context) {
    uint8_t pdu[512], *set = pdu + 12, *p;
    const uint16_t response = 0x8001, no_dataset = 0x0101, success = 0;
    uint32_t length = 0;
    p = put_element(set, 0x0000, &length, 4);
    p = put_element(p, 0x0002, a->sop_class, (uint32_t)strlen(a->sop_class));
    p = put_element(p, 0x0100, &response, 2);
    p = put_element(p, 0x0120, &a->message_id, 2);
    p = put_element(p, 0x0800, &no_dataset, 2);
    p = put_element(p, 0x0900, &success, 2);
    p = put_element(p, 0x1000, a->instance, (uint32_t)strlen(a->instance));
    length = (uint32_t)(p - set - 12);
    memcpy(set + 8, &length, 4);
    pdu[0] = 4;
    pdu[1] = 0;
    put_big32(pdu + 2, (uint32_t)(p - pdu - 6));
    put_big32(pdu + 6, (uint32_t)(p - pdu - 10));
    pdu[10] = context;
    pdu[11] = 3;
    return write_all(a->socket, pdu, (size_t)(p - pdu));
}

static bool take_command(Association *a, uint8_t control, uint8_t context, size_t length) {
    if (!fill(a, length) || a->command_length + length > sizeof a->command) return false;
    memcpy(a->command + a->command_length, a->bytes + a->start, length);
    a->command_length += length;
    a->start += length;
    return !(control & 2) || (read_command(a) && open_part(a, context));
}

static bool take_dataset(Association *a, uint8_t control, uint8_t context, size_t length) {
    if (a->file < 0) return false;
    while (length) {
        if (a->start == a->end && !fill(a, 1)) return false;
        size_t here = a->end - a->start < length ? a->end - a->start : length;
        if (!write_all(a->file, a->bytes + a->start, here)) return false;
        a->start += here;
        length -= here;
    }
    return !(control & 2) || (keep(a) && answer(a, context));
}

/* One P-DATA-TF PDU: its presentation data values, command or dataset (PS3.8 9.3.5, annex E). */
static bool take_data(Association *a, size_t length) {
    while (length) {
        if (length < 6 || !fill(a, 6)) return false;
        const uint8_t *head = a->bytes + a->start;
        size_t value = big32(head);
        uint8_t context = head[4], control = head[5];
        if (value < 2 || value > length - 4) return false;
        a->start += 6;
        length -= 4 + value;
        if (!(control & 1 ? take_command : take_dataset)(a, control, context, value - 2)) return false;
    }
    return true;
}

static void *serve(void *argument) {
    Association *a = calloc(1, sizeof *a);
    static const int on = 1;
    a->socket = (int)(intptr_t)argument;
    a->file = -1;
    a->bytes = malloc(BUFFER);
    setsockopt(a->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    bool open = associate(a);
    while (open && fill(a, 6)) {
        uint8_t type = a->bytes[a->start];
        size_t length = big32(a->bytes + a->start + 2);
        a->start += 6;
        if (type == 5) {
            static const uint8_t released[10] = {6, 0, 0, 0, 0, 4};
            write_all(a->socket, released, sizeof released);
        }
        open = type == 4 && take_data(a, length);
    }
    if (a->file >= 0) close(a->file);
    close(a->socket);
    free(a->bytes);
    free(a);
    return NULL;
}

static int make_folder(int parent, const char *name) {
    int folder;
    if ((mkdirat(parent, name, 0755) && errno != EEXIST) || (folder = openat(parent, name, O_RDONLY | O_DIRECTORY)) < 0) {
        perror(name);
        exit(1);
    }
    return folder;
}

int main(int count, char **arguments) {
    if (count != 4 || (strcmp(arguments[3], "synced") && strcmp(arguments[3], "unsynced"))) {
        fprintf(stderr, "usage: limit PORT FOLDER synced|unsynced\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    synced = !strcmp(arguments[3], "synced");
    int root = make_folder(AT_FDCWD, arguments[2]), all = make_folder(root, "kept");
    incoming = make_folder(root, "incoming");
    for (int n = 0; n < FOLDERS; n++) {
        char name[3];
        snprintf(name, sizeof name, "%02x", (unsigned)n);
        kept[n] = make_folder(all, name);
    }
    static const int on = 1;
    int door = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1]))};
    here.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(door, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(door, (struct sockaddr *)&here, sizeof here) || listen(door, 4096)) {
        perror("listen");
        return 1;
    }
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&small, 1 << 18);
    for (;;) {
        pthread_t thread;
        int socket = accept(door, NULL, NULL);
        if (socket >= 0 && pthread_create(&thread, &small, serve, (void *)(intptr_t)socket)) close(socket);
    }
}
