/* The guest of the sandbox: QuickJS-NG with a single import.
 *
 * It is one translation unit with the engine, whose sources come from the `quickjs-ng` package (build.py). There is no
 * WASI and no operating system. The only import is `host.call`, and the host writes the time into `host`.
 *
 * Values pass through `buffer`, one after another: a byte for the kind, a 32-bit length, and the bytes.
 */

#include <stddef.h>

/* Objects of the image are never freed, so references to them are not counted: counting would write to pages all over
 * the image, and each written page must be copied. `image_end` is NULL before. See PATCHES in build.py. */
extern char *image_end;
static int uncounted = 1 << 30;

#include "quickjs.c"

#define EXPORT(name) __attribute__((export_name(#name))) name

__attribute__((import_module("host"), import_name("call")))
extern void host_call(uint32_t hook, const uint8_t *values, uint32_t length);

enum { UNDEFINED, STRING, BYTES };
enum { OK, THREW };
enum { ENTRIES_AT_MOST = 16, SCRATCH = 64 * 1024, STACK = 256 * 1024 };

extern char *end_image(void), *first_block(void);
extern uint8_t *plan_of_blocks(void);

static JSRuntime *rt;
static JSContext *ctx;
static JSValue entries[ENTRIES_AT_MOST];

/* The buffer. */

static uint8_t scratch[SCRATCH];
static uint8_t *buffer = scratch;
static uint32_t capacity = SCRATCH;

/* Returns a buffer of at least `length` bytes, or NULL. It is valid until the next call, which drops its contents. */
uint8_t *EXPORT(reserve)(uint32_t length)
{
    if (length <= capacity)
        return buffer;
    if (buffer != scratch)
        free(buffer);
    buffer = malloc(length);
    capacity = length;
    if (!buffer) {
        buffer = scratch;
        capacity = SCRATCH;
        return NULL;
    }
    return buffer;
}

static void release(void)
{
    if (buffer != scratch) {
        free(buffer);
        buffer = scratch;
        capacity = SCRATCH;
    }
}

static JSValue new_bytes(const uint8_t *data, size_t length)
{
    JSValue array = JS_NewArrayBufferCopy(ctx, data, length);
    if (JS_IsException(array))
        return array;
    JSValue bytes = JS_NewTypedArray(ctx, 1, &array, JS_TYPED_ARRAY_UINT8);
    JS_FreeValue(ctx, array);
    return bytes;
}

static JSValue taken(const uint8_t **at)
{
    const uint8_t *data = *at + 5;
    uint32_t length;
    memcpy(&length, *at + 1, sizeof(length));
    *at = data + length;
    switch (data[-5]) {
    case STRING:
        return JS_NewStringLen(ctx, (const char *)data, length);
    case BYTES:
        return new_bytes(data, length);
    default:
        return JS_UNDEFINED;
    }
}

/* Returns the kind of a value for the host, and its bytes. The caller must free the bytes of a string. */
static uint8_t given(JSValueConst value, const uint8_t **data, size_t *length)
{
    if (JS_IsString(value)) {
        *data = (const uint8_t *)JS_ToCStringLen(ctx, length, value);
        return *data ? STRING : UNDEFINED;
    }
    if (JS_IsObject(value) && (*data = JS_GetUint8Array(ctx, length, value)))
        return BYTES;
    if (JS_IsObject(value)) /* so that no exception stays for the next call */
        JS_FreeValue(ctx, JS_GetException(ctx));
    *data = NULL;
    *length = 0;
    return UNDEFINED;
}

/* Hooks. */

static JSValue call_host(JSContext *c, JSValueConst this, int count, JSValueConst *values, int hook)
{
    const uint8_t *data[8];
    size_t lengths[8], total = 0;
    uint8_t kinds[8];

    if (count > 8)
        count = 8;
    for (int i = 0; i < count; i++) {
        kinds[i] = given(values[i], &data[i], &lengths[i]);
        total += 5 + lengths[i];
    }
    uint8_t *at = total > UINT32_MAX ? NULL : reserve(total);
    for (int i = 0; i < count; i++) {
        if (at) {
            uint32_t length = lengths[i];
            *at = kinds[i];
            memcpy(at + 1, &length, sizeof(length));
            if (length)
                memcpy(at + 5, data[i], length);
            at += 5 + length;
        }
        if (kinds[i] == STRING)
            JS_FreeCString(ctx, (const char *)data[i]);
    }
    if (!at)
        return JS_ThrowOutOfMemory(ctx);
    host_call(hook, buffer, total); /* the host may call `reserve` for its answer, which moves `buffer` */
    const uint8_t *answer = buffer;
    JSValue value = taken(&answer);
    release();
    return value;
}

/* encode(text): Returns the text in UTF-8. */
static JSValue encode(JSContext *c, JSValueConst this, int count, JSValueConst *values)
{
    size_t length;
    const char *text = JS_ToCStringLen(ctx, &length, values[0]);
    if (!text)
        return JS_EXCEPTION;
    JSValue bytes = new_bytes((const uint8_t *)text, length);
    JS_FreeCString(ctx, text);
    return bytes;
}

/* Returns the number of bytes of the character at `p`. If they are not UTF-8, returns minus the number of bytes that
 * count as one error: a "maximal subpart", as in the decoder of the Encoding Standard. */
static int character(const uint8_t *p, const uint8_t *end)
{
    int length = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;
    uint8_t low = *p == 0xe0 ? 0xa0 : *p == 0xf0 ? 0x90 : 0x80, high = *p == 0xed ? 0x9f : *p == 0xf4 ? 0x8f : 0xbf;

    if (length == 0)
        return -1;
    for (int i = 1; i < length; i++) {
        if (p + i == end || p[i] < low || p[i] > high)
            return -i;
        low = 0x80;
        high = 0xbf;
    }
    return length;
}

static int is_utf8(const uint8_t *p, const uint8_t *end)
{
    while (p < end) {
        if (*p < 0x80) {
            p++;
            continue;
        }
        int length = character(p, end);
        if (length < 0)
            return 0;
        p += length;
    }
    return 1;
}

/* decode(bytes, "strict"): Returns the text, or undefined if the bytes are not UTF-8. Without the second argument,
 * U+FFFD replaces each error. */
static JSValue decode(JSContext *c, JSValueConst this, int count, JSValueConst *values)
{
    size_t length;
    const uint8_t *data = JS_GetUint8Array(ctx, &length, values[0]);
    if (!data) {
        if (!JS_IsObject(values[0]))
            return JS_ThrowTypeError(ctx, "not bytes");
        return JS_EXCEPTION;
    }
    if (is_utf8(data, data + length))
        return JS_NewStringLen(ctx, (const char *)data, length);
    if (count > 1 && JS_IsString(values[1]))
        return JS_UNDEFINED;
    uint8_t *clean = js_malloc(ctx, 3 * length), *at = clean;
    if (!clean)
        return JS_EXCEPTION;
    for (const uint8_t *p = data, *end = data + length; p < end;) {
        int size = character(p, end);
        if (size > 0) {
            memcpy(at, p, size);
            at += size;
            p += size;
        } else {
            memcpy(at, "\xef\xbf\xbd", 3);
            at += 3;
            p -= size;
        }
    }
    JSValue text = JS_NewStringLen(ctx, (const char *)clean, at - clean);
    js_free(ctx, clean);
    return text;
}

#include "json.c"

/* parseJson(bytes): Returns the result of JSON.parse for their text, or undefined if the bytes are not UTF-8. */
static JSValue parse_json(JSContext *c, JSValueConst this, int count, JSValueConst *values)
{
    size_t length;
    int is_left;
    const uint8_t *data = JS_GetUint8Array(ctx, &length, values[0]);
    if (!data)
        return JS_IsObject(values[0]) ? JS_EXCEPTION : JS_UNDEFINED;
    if (length >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        length -= 3;
    }
    JSValue value = json_parsed(data, length, &is_left);
    if (!is_left)
        return value;
    JS_FreeValue(ctx, JS_GetException(ctx));
    if (!is_utf8(data, data + length))
        return JS_UNDEFINED;
    char *text = js_malloc(ctx, length + 1); /* the engine's parser reads one byte behind the text */
    if (!text)
        return JS_EXCEPTION;
    memcpy(text, data, length);
    text[length] = 0;
    value = JS_ParseJSON(ctx, text, length, "<input>");
    js_free(ctx, text);
    return value;
}

/* Exports. */

/* The host writes these before it calls `enter`. `now` is the time in microseconds since 1970, the guest's only clock.
 * `seed` is the seed of Math.random, which the host writes once in each poll. */
struct {
    uint64_t now, seed;
} host;

void *EXPORT(host_at)(void)
{
    return &host;
}

void EXPORT(init)(void)
{
    rt = JS_NewRuntime();
    JS_SetMaxStackSize(rt, STACK);
    ctx = JS_NewContext(rt);
}

/* Runs the prelude in the buffer: `(function (hooks...) { ... return [entries] })`. The guest itself answers three
 * hooks: the last three arguments are their numbers. */
int EXPORT(prepare)(uint32_t length, int hooks, int encode_hook, int decode_hook, int parse_hook)
{
    JSValue functions[64];

    buffer[length] = 0;
    JSValue prelude = JS_Eval(ctx, (const char *)buffer, length, "<environment>", JS_EVAL_TYPE_GLOBAL);
    for (int i = 0; i < hooks; i++)
        functions[i] = i == encode_hook   ? JS_NewCFunction(ctx, encode, "", 1)
                       : i == decode_hook ? JS_NewCFunction(ctx, decode, "", 2)
                       : i == parse_hook  ? JS_NewCFunction(ctx, parse_json, "", 1)
                                          : JS_NewCFunctionMagic(ctx, call_host, "", 0, JS_CFUNC_generic_magic, i);
    JSValue list = JS_IsException(prelude) ? JS_EXCEPTION : JS_Call(ctx, prelude, JS_UNDEFINED, hooks, functions);
    int status = JS_IsException(list) ? THREW : OK;
    for (int i = 0; i < ENTRIES_AT_MOST; i++)
        entries[i] = status == OK ? JS_GetPropertyUint32(ctx, list, i) : JS_UNDEFINED;
    for (int i = 0; i < hooks; i++)
        JS_FreeValue(ctx, functions[i]);
    JS_FreeValue(ctx, list);
    JS_FreeValue(ctx, prelude);
    release();
    return status;
}

/* Writes the last exception as text into the buffer and returns its length. It helps developers of the prelude. */
uint32_t EXPORT(exception)(void)
{
    JSValue error = JS_GetException(ctx), stack = JS_GetPropertyStr(ctx, error, "stack");
    const char *text = JS_ToCString(ctx, error), *trace = JS_ToCString(ctx, stack);
    return snprintf((char *)buffer, SCRATCH, "%s\n%s", text ? text : "", trace ? trace : "");
}

/* Prepares the memory for the image: collects garbage, and sets the next collection after `more` further bytes.
 * Returns the end of the image's blocks. */
char *EXPORT(seal)(uint32_t more)
{
    JS_RunGC(rt);
    JS_SetGCThreshold(rt, rt->malloc_state.malloc_size + more);
    return end_image();
}

/* The host uses the next two for the layout of the image (malloc.c). */
uint8_t *EXPORT(plan_at)(void)
{
    return plan_of_blocks();
}

char *EXPORT(blocks_at)(void)
{
    return first_block();
}

/* Calls an entry with the `count` values in the buffer, and then runs all pending jobs. */
int EXPORT(enter)(int entry, int count)
{
    JSValue values[8];
    const uint8_t *at = buffer;

    if (host.seed) {
        ctx->random_state = host.seed;
        host.seed = 0;
    }
    for (int i = 0; i < count; i++)
        values[i] = taken(&at);
    release();
    JSValue result = JS_Call(ctx, entries[entry], JS_UNDEFINED, count, values);
    int status = JS_IsException(result) ? THREW : OK;
    JS_FreeValue(ctx, result);
    for (int i = 0; i < count; i++)
        JS_FreeValue(ctx, values[i]);
    JSContext *of;
    int ran;
    while ((ran = JS_ExecutePendingJob(rt, &of)) != 0)
        if (ran < 0)
            status = THREW;
    return status;
}
