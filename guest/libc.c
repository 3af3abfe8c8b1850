/* The functions of a C library that the engine needs, for a WebAssembly module without an operating system.
 *
 * The mathematics and some of the string functions come from the sources of a C library (build.py). */

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>

#include "dtoa.h"

extern struct {
    uint64_t now, seed;
} host;

const struct __clockid { int id; } _CLOCK_MONOTONIC, _CLOCK_REALTIME;
_Noreturn void abort(void)
{
    __builtin_trap();
}

int gettimeofday(struct timeval *restrict time, void *restrict zone)
{
    time->tv_sec = host.now / 1000000;
    time->tv_usec = host.now % 1000000;
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *time)
{
    time->tv_sec = host.now / 1000000;
    time->tv_nsec = host.now % 1000000 * 1000;
    return 0;
}

struct tm *localtime_r(const time_t *restrict time, struct tm *restrict local)
{
    *local = (struct tm){0}; /* the engine reads only the offset, which is that of UTC */
    return local;
}

/* The parts of printf that the engine's messages use: flags 0 and -, width, precision, d i u x X o c s p z l ll j t. */

struct output {
    char *at, *end;
    size_t length;
};

static void put(struct output *out, char c)
{
    if (out->at < out->end)
        *out->at++ = c;
    out->length++;
}

static void pad(struct output *out, int width, char with)
{
    while (width-- > 0)
        put(out, with);
}

static int number(const char **format, va_list *values)
{
    int n = 0;
    if (**format == '*') {
        ++*format;
        return va_arg(*values, int);
    }
    while (**format >= '0' && **format <= '9')
        n = n * 10 + *(*format)++ - '0';
    return n;
}

int vsnprintf(char *restrict buffer, size_t size, const char *restrict format, va_list given)
{
    struct output out = {buffer, size ? buffer + size - 1 : buffer, 0};
    va_list values;
    va_copy(values, given);
    while (*format) {
        if (*format != '%') {
            put(&out, *format++);
            continue;
        }
        int left = 0, zeros = 0, longs = 0, precision = -1;
        for (format++; *format == '-' || *format == '0'; format++)
            *format == '-' ? (left = 1) : (zeros = 1);
        int width = number(&format, &values);
        if (*format == '.') {
            format++;
            precision = number(&format, &values);
        }
        for (; *format == 'l' || *format == 'z' || *format == 'j' || *format == 't'; format++)
            longs += *format == 'l' ? 1 : *format == 'j' ? 2 : 0; /* size_t and long are 32 bits */
        char text[24], *from = text + sizeof(text), kind = *format++;
        int length = 0, negative = 0;
        unsigned base = kind == 'x' || kind == 'X' || kind == 'p' ? 16 : kind == 'o' ? 8 : 10;
        switch (kind) {
        case 'd': case 'i': case 'u': case 'x': case 'X': case 'p': case 'o': {
            int is_signed = kind == 'd' || kind == 'i';
            uint64_t n = longs > 1    ? va_arg(values, uint64_t)
                         : is_signed ? (uint64_t)(int64_t)va_arg(values, int32_t)
                                     : va_arg(values, uint32_t);
            if (is_signed && (int64_t)n < 0) {
                negative = 1;
                n = -n;
            }
            for (; n || length < (precision < 0 ? 1 : precision > 20 ? 20 : precision); n /= base, length++)
                *--from = (kind == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[n % base];
            break;
        }
        case 'c':
            *--from = va_arg(values, int);
            length = 1;
            zeros = 0;
            break;
        case 's':
            from = va_arg(values, char *);
            while ((precision < 0 || length < precision) && from[length])
                length++;
            zeros = 0;
            break;
        default:
            *--from = kind;
            length = kind != 0;
            if (!kind)
                format--;
        }
        int fill = width - length - negative;
        if (!left && !zeros)
            pad(&out, fill, ' ');
        if (negative)
            put(&out, '-');
        if (!left && zeros)
            pad(&out, fill, '0');
        for (int i = 0; i < length; i++)
            put(&out, from[i]);
        if (left)
            pad(&out, fill, ' ');
    }
    va_end(values);
    if (size)
        *out.at = 0;
    return out.length;
}

int snprintf(char *restrict buffer, size_t size, const char *restrict format, ...)
{
    va_list values;
    va_start(values, format);
    int length = vsnprintf(buffer, size, format, values);
    va_end(values);
    return length;
}

/* Only the engine's dumps print, and no code calls them. */
int printf(const char *restrict format, ...)
{
    return 0;
}

/* The engine reads one kind of number literal with strtod. Its own reader gives the same value. */
double strtod(const char *restrict text, char **restrict end)
{
    JSATODTempMem memory;
    const char *after;
    double value = js_atod(text, &after, 10, 0, &memory);
    if (end)
        *end = (char *)after;
    return value;
}

/* Bytes are copied here and not by WebAssembly's own instructions. Wasmtime carries those out in its own code, during
 * which the guest watchdog must not take the memory away (sandbox/worker/watchdog.py). Most copies are short. */

typedef uint16_t half __attribute__((aligned(1), may_alias));
typedef uint32_t word __attribute__((aligned(1), may_alias));
typedef uint64_t twice __attribute__((aligned(1), may_alias));
typedef uint8_t vector __attribute__((vector_size(16), aligned(1), may_alias));

#define AT(type, place) (*(type *)(place))
#define PLAIN __attribute__((no_builtin)) /* or the compiler would turn the function into a call of itself */

/* Copies up to 16 bytes. It reads all of them before it writes the first. */
static inline PLAIN void move_few(char *to, const char *from, size_t length)
{
    if (length >= 8) {
        twice first = AT(twice, from), last = AT(twice, from + length - 8);
        AT(twice, to) = first;
        AT(twice, to + length - 8) = last;
    } else if (length >= 4) {
        word first = AT(word, from), last = AT(word, from + length - 4);
        AT(word, to) = first;
        AT(word, to + length - 4) = last;
    } else if (length >= 2) {
        half first = AT(half, from), last = AT(half, from + length - 2);
        AT(half, to) = first;
        AT(half, to + length - 2) = last;
    } else if (length) {
        *to = *from;
    }
}

static inline PLAIN void move_up(char *to, const char *from, size_t length)
{
    vector last = AT(vector, from + length - 16);
    char *end = to + length - 16;
    for (; end - to >= 48; to += 64, from += 64) {
        vector a = AT(vector, from), b = AT(vector, from + 16), c = AT(vector, from + 32), d = AT(vector, from + 48);
        AT(vector, to) = a;
        AT(vector, to + 16) = b;
        AT(vector, to + 32) = c;
        AT(vector, to + 48) = d;
    }
    for (; to < end; to += 16, from += 16)
        AT(vector, to) = AT(vector, from);
    AT(vector, end) = last;
}

PLAIN void *memcpy(void *restrict to, const void *restrict from, size_t length)
{
    if (length <= 16)
        move_few(to, from, length);
    else
        move_up(to, from, length);
    return to;
}

PLAIN void *memmove(void *to, const void *from, size_t length)
{
    if (length <= 16) {
        move_few(to, from, length);
    } else if ((uintptr_t)to - (uintptr_t)from >= length) {
        move_up(to, from, length);
    } else {
        vector first = AT(vector, from);
        const char *last = (const char *)from + length;
        char *end = (char *)to + length;
        for (; end - (char *)to > 16; last -= 16, end -= 16)
            AT(vector, end - 16) = AT(vector, last - 16);
        AT(vector, to) = first;
    }
    return to;
}

PLAIN void *memset(void *start, int value, size_t length)
{
    char *to = start, *end = to + length;
    if (length < 16) {
        while (to < end)
            *to++ = value;
        return start;
    }
    vector all = (vector){0} + (uint8_t)value;
    for (; end - to > 16; to += 16)
        AT(vector, to) = all;
    AT(vector, end - 16) = all;
    return start;
}

char *strchr(const char *text, int c)
{
    for (; *text != (char)c; text++)
        if (!*text)
            return NULL;
    return (char *)text;
}

char *strrchr(const char *text, int c)
{
    const char *last = NULL;
    do
        if (*text == (char)c)
            last = text;
    while (*text++);
    return (char *)last;
}
