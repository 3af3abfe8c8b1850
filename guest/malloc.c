/* The allocator, for memories that live for one poll and begin as a copy of the image.
 *
 * Freed blocks are kept in lists by size. They are never split or joined. The number of pages that a poll touches must
 * be small, because each of them costs a page fault and a copy:
 * - After `end_image`, the free space inside the image is never used. So all blocks that a poll allocates lie side by
 *   side behind the image.
 * - The blocks of the image that a poll reads or writes are spread over the whole image. So the host makes the image
 *   twice. After the first time, it writes into `plan` what a poll did with each block, in the order of allocation. In
 *   the second image, the written blocks lie side by side, and so do the blocks that were only read. Both times, the
 *   engine asks for the same blocks in the same order.
 */

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define PAGE 65536u
#define GROW (4 * PAGE) /* the memory grows by at least this much at a time, if it can */
#define LARGEST 0x7fffff00u
#define CLASSES 128
#define PLANNED (1u << 21) /* the number of calls that a plan can cover */

struct block {
    uint32_t size; /* bytes, including this header; a multiple of 16 */
    uint32_t class : 8;
    uint32_t order : 24; /* the number of the call that allocated it */
    struct block *next; /* only in a free block, in the place of the payload */
};
#define HEADER 8u

static struct block *free_blocks[CLASSES];
static char *top, *end; /* the free space behind all blocks */
static char *used;      /* the highest value that `top` has had: all bytes behind it are zero */
static uint32_t calls;
static uint8_t plan[PLANNED / 4]; /* two bits for each call: 0, or the number of its room in `rooms`, from 1 */
static struct room {
    char *at, *end;
    uint32_t size;
} rooms[] = {{.size = PAGE}, {.size = 16 * PAGE}};
extern char __heap_base;
char *image_end; /* NULL until the image ends */

static char *heap_start(void)
{
    return (char *)(((uintptr_t)&__heap_base + 15) & ~15u);
}

uint8_t *plan_of_blocks(void)
{
    return plan;
}

/* Returns the room for the block of this call, or NULL if the plan names none. */
static struct room *planned(void)
{
    uint32_t number = calls < PLANNED ? plan[calls / 4] >> calls % 4 * 2 & 3 : 0;
    return number == 1 || number == 2 ? &rooms[number - 1] : NULL;
}

/* Returns the smallest class whose blocks have at least `size` bytes. Up to 512 bytes, classes are 16 bytes apart;
 * above, there are four classes in each doubling. */
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

/* Makes a new block behind all others. */
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

/* Makes a new block in a room. The room itself is one large block. */
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

/* Makes the last block larger in its place. Returns 0 if there is no memory. */
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

/* Ends the image: from now on, blocks are allocated only behind it, from the next page of 4 KiB on.
 * Returns the end of the image's blocks, which lie side by side. */
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
