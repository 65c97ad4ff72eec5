/* How numbers, items and elements lie on the wire (PS3.8 9.3.1, PS3.7 6.3.1), for both ends of the bench. */
#ifndef WIRE_H
#define WIRE_H
#include <arpa/inet.h>
#include <stdint.h>
#include <string.h>

static uint16_t big16(const uint8_t *p) { return (uint16_t)(p[0] << 8 | p[1]); }
static uint32_t big32(const uint8_t *p) { return (uint32_t)big16(p) << 16 | big16(p + 2); }
static uint16_t little16(const uint8_t *p) { return (uint16_t)(p[0] | p[1] << 8); }
static uint32_t little32(const uint8_t *p) { return little16(p) | (uint32_t)little16(p + 2) << 16; }

static void put_big32(uint8_t *p, uint32_t value) {
    uint32_t swapped = htonl(value);
    memcpy(p, &swapped, 4);
}

static uint8_t *put_item(uint8_t *p, uint8_t type, const void *value, size_t length) {
    p[0] = type;
    p[1] = 0;
    p[2] = (uint8_t)(length >> 8);
    p[3] = (uint8_t)length;
    memcpy(p + 4, value, length);
    return p + 4 + length;
}

static uint8_t *put_element(uint8_t *p, uint16_t element, const void *value, uint32_t length) {
    const uint32_t even = length + (length & 1);
    const uint8_t head[8] = {0, 0, (uint8_t)element, (uint8_t)(element >> 8), (uint8_t)even, (uint8_t)(even >> 8), 0, 0};
    memcpy(p, head, 8);
    p[8 + length] = 0;
    memcpy(p + 8, value, length);
    return p + 8 + even;
}

#endif
