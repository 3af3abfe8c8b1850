/* The allocator: made for memories that live for one poll and begin as a copy of the image.
 *
 * Freed blocks wait in lists by size and are never split or joined. What matters is which pages a poll touches, each of
 * which costs a fault and a copy:
 * - After `end_image` nothing of the image's free space is used again, so that all that a poll allocates lies side by
 *   side behind it.
 * - What a poll writes to and reads of the image is spread over all of it. So the host bakes twice: it says in `plan`, by
 *   the order of their allocation, what a poll did with each block of the first image. In the second one those that were
 *   written to lie side by side, and so do those that were read. Both times the engine asks for the same blocks in the
 *   same order.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PAGE 65536u
#define GROW (4 * PAGE) /* at least, at a time */
#define LARGEST 0x7fffff00u
#define CLASSES 128
#define PLANNED (1u << 21) /* calls that a plan can speak of */

struct block {
    uint32_t size; /* with this header, in bytes: a multiple of 16 */
    uint32_t class : 8;
    uint32_t order : 24; /* the call that it was given for */
    struct block *next; /* where the payload is, while it is free */
};
#define HEADER 8u

static struct block *free_blocks[CLASSES];
static char *top, *end; /* the space never used, or given back, behind all blocks */
static char *used;      /* as far as `top` has ever come: behind it all is zero */
static uint32_t calls;
static uint8_t plan[PLANNED / 4]; /* two bits for each call: 0, or in which of `rooms` its block is to be, from 1 */
static struct room {
    char *at, *end;
    uint32_t size;
} rooms[] = {{.size = PAGE}, {.size = 16 * PAGE}};
extern char __heap_base;
char *image_end; /* none yet */

static char *heap_start(void)
{
    return (char *)(((uintptr_t)&__heap_base + 15) & ~15u);
}

uint8_t *plan_of_blocks(void)
{
    return plan;
}

/* Where the block of this call belongs, if anywhere. */
static struct room *planned(void)
{
    uint32_t number = calls < PLANNED ? plan[calls / 4] >> calls % 4 * 2 & 3 : 0;
    return number == 1 || number == 2 ? &rooms[number - 1] : NULL;
}

/* The class whose blocks are all at least `size` bytes: 16 apart up to 512 bytes, then 4 in each doubling. */
static uint32_t class_above(uint32_t size)
{
    if (size <= 512)
        return (size + 15) / 16 - 1;
    uint32_t log = 31 - __builtin_clz(size - 1), quarter = (size - 1) >> (log - 2) & 3;
    return 32 + (log - 9) * 4 + quarter;
}

static uint32_t size_of_class(uint32_t class)
{
    if (class < 32)
        return (class + 1) * 16;
    uint32_t log = (class - 32) / 4 + 9, quarter = (class - 32) % 4;
    return (1u << log) + ((quarter + 1) << (log - 2));
}

static int grown(uint32_t by)
{
    uint32_t pages = ((by > GROW ? by : GROW) + PAGE - 1) / PAGE;
    if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX) {
        pages = (by + PAGE - 1) / PAGE;
        if (__builtin_wasm_memory_grow(0, pages) == SIZE_MAX)
            return 0;
    }
    end += pages * PAGE;
    return 1;
}

/* A new block behind the others. */
static struct block *fresh(uint32_t size)
{
    if (!top) {
        top = used = heap_start();
        end = (char *)(__builtin_wasm_memory_size(0) * PAGE);
    }
    if ((uint32_t)(end - top) < size && !grown(size - (end - top)))
        return NULL;
    struct block *block = (struct block *)top;
    top += size;
    block->size = size;
    return block;
}

/* A new block in a room, which is itself a large one of the others. */
static struct block *fresh_in(struct room *room, uint32_t size)
{
    if ((uint32_t)(room->end - room->at) < size) {
        struct block *whole = fresh(room->size);
        if (!whole)
            return NULL;
        room->at = (char *)whole + HEADER + HEADER;
        room->end = (char *)whole + room->size;
    }
    struct block *block = (struct block *)room->at;
    room->at += size;
    block->size = size;
    return block;
}

static void *allocated(size_t wanted, int zero)
{
    if (wanted > LARGEST)
        return NULL;
    uint32_t class = class_above(wanted + HEADER), size = size_of_class(class);
    int is_clean = 0;
    struct block *block = free_blocks[class];
    struct room *room = size <= PAGE ? planned() : NULL;
    if (room) {
        block = fresh_in(room, size);
    } else if (block) {
        free_blocks[class] = block->next;
    } else {
        block = fresh(size);
        is_clean = block && (char *)&block->next >= used;
    }
    if (!block)
        return NULL;
    block->class = class;
    block->order = calls;
    if (zero && !is_clean)
        memset(&block->next, 0, wanted);
    if (top > used)
        used = top;
    return &block->next;
}

static struct block *block_of(void *payload)
{
    return (struct block *)((char *)payload - HEADER);
}

void *malloc(size_t size)
{
    calls++;
    return allocated(size, 0);
}

void *calloc(size_t count, size_t size)
{
    calls++;
    return size && count > LARGEST / size ? NULL : allocated(count * size, 1);
}

size_t malloc_usable_size(void *payload)
{
    return payload ? block_of(payload)->size - HEADER : 0;
}

void free(void *payload)
{
    if ((char *)payload < image_end || !payload)
        return;
    struct block *block = block_of(payload);
    if ((char *)block + block->size == top) {
        top = (char *)block;
        return;
    }
    block->next = free_blocks[block->class];
    free_blocks[block->class] = block;
}

/* Whether the last block of all could grow where it is. */
static int extended(struct block *block, size_t wanted)
{
    uint32_t class = class_above(wanted + HEADER), more = size_of_class(class) - block->size;
    if ((uint32_t)(end - top) < more && !grown(more - (end - top)))
        return 0;
    top += more;
    block->size += more;
    block->class = class;
    if (top > used)
        used = top;
    return 1;
}

void *realloc(void *payload, size_t wanted)
{
    if (!payload)
        return malloc(wanted);
    struct block *block = block_of(payload);
    calls++;
    if (!planned()) {
        int fits = wanted <= block->size - HEADER;
        if (fits || ((char *)block + block->size == top && wanted <= LARGEST && extended(block, wanted))) {
            block->order = calls;
            return payload;
        }
    }
    void *moved = allocated(wanted, 0);
    if (moved) {
        size_t kept = block->size - HEADER;
        memcpy(moved, payload, kept < wanted ? kept : wanted);
        free(payload);
    }
    return moved;
}

/* From here on, memory comes from behind the image alone: from its next page of 4 KiB, in spare room that is not in it.
 * What ends there are the blocks, side by side. */
char *end_image(void)
{
    char *blocks_end = top;
    memset(plan, 0, sizeof(plan));
    memset(free_blocks, 0, sizeof(free_blocks));
    memset(rooms, 0, sizeof(rooms));
    top = (char *)(((uintptr_t)used + 4095) & ~4095u);
    used = image_end = top;
    if (end - top < GROW)
        grown(GROW);
    return blocks_end;
}

char *first_block(void)
{
    return heap_start();
}
