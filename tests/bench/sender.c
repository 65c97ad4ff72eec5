/* A C-STORE SCU that costs the machine as little as it can, so that what is measured is the receiver.
 *
 *     sender -p PORT -l LIST [-a ASSOCIATIONS] [-n IMAGES] [-b FIRST] [-t SECONDS]     store, print one JSON line
 *     sender -p PORT -l LIST -a ASSOCIATIONS -i                                        open, say so, wait for EOF
 *
 * LIST names Part 10 files, one a line; they are templates. IMAGES are dealt to the associations, which run at once,
 * each on a thread, with one store under way (no asynchronous window), TCP_NODELAY set. Each image sent is an instance
 * of its own: the last 12 digits of its SOP Instance UID, in the command and in the dataset, become a number that counts
 * from FIRST, so no receiver ever meets a duplicate. SECONDS bound each wait for the peer.
 *
 * refused: associations that were not accepted or not even connected. fail: images that were not answered with success.
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
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

enum { UID = 65, HEAD = 1024, DIGITS = 12, PDU_CAP = 1 << 20, PIECES = 512, CONTEXTS = 16 };

typedef struct {
    const uint8_t *dataset; /* without preamble and File Meta Information */
    size_t length, head;    /* the head ends with the SOP Instance UID: a sender copies and patches it */
    char sop_class[UID], instance[UID];
    uint8_t context;
} Template;

typedef struct {
    int socket, number;
    int ok, fail;
    bool refused;
    uint32_t max_pdu;
    double associated, *stored; /* seconds; stored[ok] */
} Association;

static struct { char sop_class[UID], syntax[UID]; } contexts[CONTEXTS];
static int context_count, template_count, port, associations = 1, images = 0, patience = 60;
static long first = 0;
static bool idle;
static Template *templates;
static pthread_barrier_t start_line, opened, closing;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void fail_at(const char *what) {
    fprintf(stderr, "sender: %s\n", what);
    exit(2);
}

static void copy_uid(char *to, const uint8_t *from, size_t length) {
    if (length >= UID) fail_at("a UID is too long");
    memcpy(to, from, length);
    to[length] = 0;
}

/* The value of an Explicit VR Little Endian element and where the next element begins. */
static const uint8_t *read_element(const uint8_t *p, uint32_t *length, const uint8_t **next) {
    bool wide = !memcmp(p + 4, "OB", 2) || !memcmp(p + 4, "SQ", 2) || !memcmp(p + 4, "UN", 2) || !memcmp(p + 4, "OW", 2);
    const uint8_t *value = p + (wide ? 12 : 8);
    *length = wide ? little32(p + 8) : little16(p + 6);
    *next = value + *length;
    return value;
}

static void load_template(Template *t, const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status)) fail_at(path);
    const uint8_t *all = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED | MAP_POPULATE, file, 0);
    close(file);
    const uint8_t *p = all + 132, *end = all + status.st_size, *value;
    uint32_t length;
    char syntax[UID] = "";
    while (p + 8 < end && little16(p) == 2) {
        uint16_t element = little16(p + 2);
        value = read_element(p, &length, &p);
        if (element == 0x02) copy_uid(t->sop_class, value, length);
        if (element == 0x03) copy_uid(t->instance, value, length);
        if (element == 0x10) copy_uid(syntax, value, length);
    }
    t->dataset = p;
    t->length = (size_t)(end - p);
    while (p + 8 < end && t->head == 0) {
        bool uid = little16(p) == 0x0008 && little16(p + 2) == 0x0018;
        value = read_element(p, &length, &p);
        if (!uid) continue;
        size_t used = strnlen((const char *)value, length);
        if (used != strlen(t->instance) || used < DIGITS + 2) fail_at("SOP Instance UID: unlike the meta's or too short");
        t->head = (size_t)(value - t->dataset) + used;
    }
    if (t->head == 0 || t->head > HEAD) fail_at("no SOP Instance UID at the head of the dataset");
    int c = 0;
    while (c < context_count && (strcmp(contexts[c].sop_class, t->sop_class) || strcmp(contexts[c].syntax, syntax))) c++;
    if (c == CONTEXTS) fail_at("too many kinds of image");
    if (c == context_count) {
        strcpy(contexts[c].sop_class, t->sop_class);
        strcpy(contexts[c].syntax, syntax);
        context_count++;
    }
    t->context = (uint8_t)(2 * c + 1);
}

static void load_templates(const char *list) {
    char line[4096];
    FILE *file = fopen(list, "r");
    if (!file) fail_at(list);
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        templates = realloc(templates, sizeof *templates * (size_t)(template_count + 1));
        memset(&templates[template_count], 0, sizeof *templates);
        load_template(&templates[template_count++], line);
    }
    fclose(file);
    if (!template_count) fail_at("the list is empty");
}

static bool receive_all(int socket, uint8_t *bytes, size_t length) {
    while (length) {
        ssize_t got = recv(socket, bytes, length, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        bytes += got;
        length -= (size_t)got;
    }
    return true;
}

static bool send_all(int socket, struct iovec *pieces, size_t count) {
    while (count) {
        ssize_t sent = writev(socket, pieces, count > PIECES ? PIECES : (int)count);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return false;
        while (count && (size_t)sent >= pieces->iov_len) sent -= (ssize_t)(pieces++)->iov_len, count--;
        if (count) {
            pieces->iov_base = (uint8_t *)pieces->iov_base + sent;
            pieces->iov_len -= (size_t)sent;
        }
    }
    return true;
}

/* A-ASSOCIATE-RQ (PS3.8 9.3.2): a context for each kind of template. */
static size_t make_request(uint8_t *pdu) {
    static const char context_name[] = "1.2.840.10008.3.1.1.1", implementation[] = "2.25.204735211843284302871920824";
    uint8_t user[128], *tail, maximum[4], *p = pdu + 74;
    memset(pdu, 0, 74);
    pdu[0] = 1;
    pdu[7] = 1;
    memcpy(pdu + 10, "WETREAD         BENCH           ", 32);
    p = put_item(p, 0x10, context_name, sizeof context_name - 1);
    for (int c = 0; c < context_count; c++) {
        uint8_t context[4 + 2 * (4 + UID)] = {(uint8_t)(2 * c + 1), 0, 0, 0};
        tail = put_item(context + 4, 0x30, contexts[c].sop_class, strlen(contexts[c].sop_class));
        tail = put_item(tail, 0x40, contexts[c].syntax, strlen(contexts[c].syntax));
        p = put_item(p, 0x20, context, (size_t)(tail - context));
    }
    put_big32(maximum, 16384);
    tail = put_item(user, 0x51, maximum, 4);
    tail = put_item(tail, 0x52, implementation, sizeof implementation - 1);
    p = put_item(p, 0x50, user, (size_t)(tail - user));
    put_big32(pdu + 2, (uint32_t)(p - pdu - 6));
    return (size_t)(p - pdu);
}

static uint32_t find_max_pdu(const uint8_t *body, size_t length) {
    for (size_t at = 68; at + 4 <= length; at += 4u + big16(body + at + 2)) {
        if (body[at] != 0x50) continue;
        size_t end = at + 4 + big16(body + at + 2);
        for (size_t item = at + 4; item + 8 <= end && end <= length; item += 4u + big16(body + item + 2))
            if (body[item] == 0x51) {
                uint32_t stated = big32(body + item + 4);
                return stated && stated < PDU_CAP ? stated : PDU_CAP; /* 0 is no limit */
            }
    }
    return 16384;
}

static bool associate(Association *a) {
    static const int on = 1;
    struct timeval wait = {.tv_sec = patience};
    struct sockaddr_in peer = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    peer.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    double began = now();
    a->socket = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(a->socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(a->socket, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(a->socket, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    uint8_t request[4096], head[6], body[65536];
    struct iovec piece = {request, make_request(request)};
    if (connect(a->socket, (struct sockaddr *)&peer, sizeof peer) || !send_all(a->socket, &piece, 1)) return false;
    if (!receive_all(a->socket, head, 6) || head[0] != 2) return false;
    size_t length = big32(head + 2);
    if (length > sizeof body || !receive_all(a->socket, body, length)) return false;
    a->max_pdu = find_max_pdu(body, length);
    a->associated = now() - began;
    return true;
}

static void put_data_head(uint8_t *p, size_t length, uint8_t context, uint8_t control) {
    p[0] = 4;
    p[1] = 0;
    put_big32(p + 2, (uint32_t)length + 6);
    put_big32(p + 6, (uint32_t)length + 2);
    p[10] = context;
    p[11] = control;
}

/* C-STORE-RQ in a P-DATA-TF of its own (PS3.7 9.3.1.1). */
static size_t make_command(uint8_t *pdu, const Template *t, const char *instance, uint16_t message_id) {
    const uint16_t request = 1, medium = 0, dataset = 1;
    uint32_t length = 0;
    uint8_t *set = pdu + 12, *p = put_element(set, 0x0000, &length, 4);
    p = put_element(p, 0x0002, t->sop_class, (uint32_t)strlen(t->sop_class));
    p = put_element(p, 0x0100, &request, 2);
    p = put_element(p, 0x0110, &message_id, 2);
    p = put_element(p, 0x0700, &medium, 2);
    p = put_element(p, 0x0800, &dataset, 2);
    p = put_element(p, 0x1000, instance, (uint32_t)strlen(instance));
    length = (uint32_t)(p - set - 12);
    memcpy(set + 8, &length, 4);
    put_data_head(pdu, (size_t)(p - set), t->context, 3);
    return (size_t)(p - pdu);
}

static bool send_image(Association *a, const Template *t, long number, uint16_t message_id) {
    char instance[UID], digits[24];
    uint8_t command[512], head[HEAD];
    snprintf(digits, sizeof digits, "%012ld", 100000000000L + number % 100000000000L);
    strcpy(instance, t->instance);
    memcpy(instance + strlen(instance) - DIGITS, digits, DIGITS);
    memcpy(head, t->dataset, t->head);
    memcpy(head + t->head - DIGITS, digits, DIGITS);
    size_t chunk = a->max_pdu - 6, parts = (t->length + chunk - 1) / chunk, count = 0;
    struct iovec *pieces = malloc(sizeof *pieces * (2 * parts + 2));
    uint8_t *heads = malloc(12 * parts);
    pieces[count++] = (struct iovec){command, make_command(command, t, instance, message_id)};
    for (size_t part = 0; part < parts; part++) {
        size_t at = part * chunk, length = t->length - at < chunk ? t->length - at : chunk;
        put_data_head(heads + 12 * part, length, t->context, part == parts - 1 ? 2 : 0);
        pieces[count++] = (struct iovec){heads + 12 * part, 12};
        if (part == 0) {
            pieces[count++] = (struct iovec){head, t->head};
            at += t->head;
            length -= t->head;
        }
        pieces[count++] = (struct iovec){(void *)(t->dataset + at), length};
    }
    bool sent = send_all(a->socket, pieces, count);
    free(pieces);
    free(heads);
    return sent;
}

/* The status of a C-STORE-RSP; -1 when none comes. */
static int receive_status(Association *a) {
    uint8_t head[6], body[4096];
    if (!receive_all(a->socket, head, 6) || head[0] != 4) return -1;
    size_t length = big32(head + 2);
    if (length > sizeof body || !receive_all(a->socket, body, length)) return -1;
    for (size_t at = 6; at + 10 <= length; at += 8 + little32(body + at + 4))
        if (little16(body + at) == 0 && little16(body + at + 2) == 0x0900) return little16(body + at + 8);
    return -1;
}

static void release(Association *a) {
    uint8_t pdu[10] = {5, 0, 0, 0, 0, 4};
    struct iovec piece = {pdu, sizeof pdu};
    if (send_all(a->socket, &piece, 1)) receive_all(a->socket, pdu, sizeof pdu);
}

static void *run(void *argument) {
    Association *a = argument;
    int mine = (images - a->number + associations - 1) / associations;
    a->stored = malloc(sizeof *a->stored * (size_t)(mine + 1));
    pthread_barrier_wait(&start_line);
    bool alive = associate(a);
    a->refused = !alive;
    if (idle) {
        pthread_barrier_wait(&opened);
        pthread_barrier_wait(&closing);
    }
    for (int k = 0; alive && k < mine; k++) {
        int image = a->number + k * associations;
        double began = now();
        alive = send_image(a, &templates[image % template_count], first + image, (uint16_t)(k % 65535 + 1));
        int status = alive ? receive_status(a) : -1;
        alive = status >= 0;
        if (status == 0 || (status & 0xf000) == 0xb000) a->stored[a->ok++] = now() - began;
    }
    a->fail = mine - a->ok;
    if (alive) release(a);
    close(a->socket);
    return NULL;
}

static int compare(const void *left, const void *right) {
    double x = *(const double *)left, y = *(const double *)right;
    return (x > y) - (x < y);
}

static double milliseconds(const double *sorted, int count, double share) {
    return count ? sorted[(int)((count - 1) * share + 0.5)] * 1e3 : 0;
}

static void report(const Association *all, double wall) {
    int ok = 0, fail = 0, refused = 0, open = 0;
    double *stored = malloc(sizeof *stored * (size_t)(images + 1)), *set_up = malloc(sizeof *set_up * (size_t)associations);
    for (int n = 0; n < associations; n++) {
        memcpy(stored + ok, all[n].stored, sizeof *stored * (size_t)all[n].ok);
        ok += all[n].ok;
        fail += all[n].fail;
        refused += all[n].refused;
        if (!all[n].refused) set_up[open++] = all[n].associated;
    }
    qsort(stored, (size_t)ok, sizeof *stored, compare);
    qsort(set_up, (size_t)open, sizeof *set_up, compare);
    printf("{\"ok\": %d, \"fail\": %d, \"refused\": %d, \"wall_s\": %.6f, \"images_per_s\": %.2f, "
           "\"associate_ms_p50\": %.3f, \"associate_ms_p99\": %.3f, \"store_ms_p50\": %.3f, \"store_ms_p99\": %.3f}\n",
           ok, fail, refused, wall, ok / wall, milliseconds(set_up, open, 0.5), milliseconds(set_up, open, 0.99),
           milliseconds(stored, ok, 0.5), milliseconds(stored, ok, 0.99));
}

int main(int count, char **arguments) {
    int option;
    const char *list = NULL;
    while ((option = getopt(count, arguments, "p:l:a:n:b:t:i")) != -1) switch (option) {
        case 'p': port = atoi(optarg); break;
        case 'l': list = optarg; break;
        case 'a': associations = atoi(optarg); break;
        case 'n': images = atoi(optarg); break;
        case 'b': first = atol(optarg); break;
        case 't': patience = atoi(optarg); break;
        case 'i': idle = true; break;
        default: return 2;
    }
    if (!port || !list || associations < 1 || images < 0) fail_at("usage: -p PORT -l LIST [-a N] [-n N] [-b N] [-t S] [-i]");
    signal(SIGPIPE, SIG_IGN);
    load_templates(list);
    pthread_barrier_init(&start_line, NULL, (unsigned)associations + 1);
    pthread_barrier_init(&opened, NULL, (unsigned)associations + 1);
    pthread_barrier_init(&closing, NULL, (unsigned)associations + 1);
    Association *all = calloc((size_t)associations, sizeof *all);
    pthread_t *threads = calloc((size_t)associations, sizeof *threads);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 1 << 18);
    for (int n = 0; n < associations; n++) {
        all[n].number = n;
        if (pthread_create(&threads[n], &small, run, &all[n])) fail_at("no more threads");
    }
    double began = now();
    pthread_barrier_wait(&start_line);
    if (idle) {
        pthread_barrier_wait(&opened);
        int open = 0;
        for (int n = 0; n < associations; n++) open += !all[n].refused;
        printf("{\"open\": %d}\n", open);
        fflush(stdout);
        while (getchar() != EOF) {}
        pthread_barrier_wait(&closing);
    }
    for (int n = 0; n < associations; n++) pthread_join(threads[n], NULL);
    report(all, now() - began);
    return 0;
}
