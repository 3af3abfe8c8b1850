/* A JSON parser that makes values directly from the UTF-8 that a server sent.
 *
 * The engine's own parser needs a text, makes a token of each part, and builds objects property by property. This one
 * looks up each name once, and an object with the same names as an earlier object takes over its shape. Invalid or
 * deeply nested JSON is left to the engine, so that the errors are the engine's.
 */

enum { NAMES_KNOWN = 64, SHAPES_KNOWN = 8, LEVELS = 100, LONGEST_NUMBER = 63 };

struct json {
    const uint8_t *at, *end;
    int is_left; /* true if the engine must parse the text */
    struct {
        const uint8_t *text;
        uint32_t length;
        JSAtom atom;
    } names[NAMES_KNOWN];
    JSShape *shapes[SHAPES_KNOWN];
    uint32_t next_shape;
    JSValue *values; /* the values of all open arrays and objects, one behind another */
    JSAtom *atoms;   /* the names of those values; JS_ATOM_NULL in arrays */
    uint32_t count, room;
};

static JSValue json_value(struct json *json, int level);

static JSValue json_left(struct json *json)
{
    json->is_left = 1;
    return JS_EXCEPTION;
}

/* Skips white space and returns the next byte, or 0 at the end. */
static uint8_t json_next(struct json *json)
{
    const uint8_t *at = json->at;
    while (at < json->end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t'))
        at++;
    json->at = at;
    return at < json->end ? *at : 0;
}

/* Keeps a value and its name until the array or object around it ends. */
static int json_keep(struct json *json, JSAtom name, JSValue value)
{
    if (json->count == json->room) {
        uint32_t room = json->room ? 2 * json->room : 64;
        JSValue *values = js_realloc(ctx, json->values, room * sizeof(*values));
        if (values)
            json->values = values;
        JSAtom *atoms = values ? js_realloc(ctx, json->atoms, room * sizeof(*atoms)) : NULL;
        if (!atoms) {
            JS_FreeAtom(ctx, name);
            JS_FreeValue(ctx, value);
            return 0;
        }
        json->atoms = atoms;
        json->room = room;
    }
    json->values[json->count] = value;
    json->atoms[json->count++] = name;
    return 1;
}

/* Strings. A function begins with `at` behind the opening quotation mark and ends with it behind the closing one. */

static const uint8_t *plain_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && *at >= ' ' && *at < 0x80 && *at != '"' && *at != '\\')
        at++;
    return at;
}

static int json_escaped(struct json *json, StringBuffer *text)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const uint8_t *at = json->at;
    if (at == json->end)
        return 0;
    uint32_t unit = *at++;
    if (unit == 'u') {
        if (json->end - at < 4)
            return 0;
        unit = 0;
        for (int i = 0; i < 4; i++, at++) {
            int digit = from_hex(*at);
            if (digit < 0)
                return 0;
            unit = unit << 4 | digit;
        }
    } else {
        const char *letter = unit ? strchr(letters, unit) : NULL;
        if (!letter)
            return 0;
        unit = meant[letter - letters];
    }
    json->at = at;
    return string_buffer_putc16(text, unit) == 0;
}

static JSValue json_escaped_string(struct json *json)
{
    StringBuffer buffer, *text = &buffer;
    if (string_buffer_init(ctx, text, 64))
        return JS_EXCEPTION;
    while (json->at < json->end) {
        const uint8_t *from = json->at, *to = plain_end(from, json->end);
        json->at = to;
        if (to > from && string_buffer_write8(text, from, to - from))
            break;
        if (to == json->end || *to < ' ')
            break;
        if (*to == '"') {
            json->at++;
            return string_buffer_end(text);
        }
        if (*to == '\\') {
            json->at++;
            if (!json_escaped(json, text))
                break;
        } else {
            int length = character(to, json->end);
            if (length < 0 || string_buffer_putc(text, utf8_decode_len(to, length, &json->at)))
                break;
        }
    }
    string_buffer_free(text);
    return json_left(json);
}

static JSValue json_string(struct json *json)
{
    const uint8_t *from = json->at, *to = plain_end(from, json->end);
    if (to < json->end && *to == '"') {
        json->at = to + 1;
        return to > from ? js_new_string8_len(ctx, (const char *)from, to - from) : js_empty_string(rt);
    }
    while (to < json->end && *to >= ' ' && *to != '"' && *to != '\\')
        to++;
    if (to == json->end || *to != '"')
        return json_escaped_string(json);
    json->at = to + 1;
    return is_utf8(from, to) ? JS_NewStringLen(ctx, (const char *)from, to - from) : json_left(json);
}

/* Parses a name up to its closing quotation mark. A name that comes again is usually found in `names`. */
static JSAtom json_name(struct json *json)
{
    const uint8_t *from = json->at, *to = plain_end(from, json->end);
    uint32_t length = to - from;
    if (to == json->end || *to != '"' || length == 0) {
        JSValue name = json_string(json);
        JSAtom atom = JS_IsException(name) ? JS_ATOM_NULL : JS_ValueToAtom(ctx, name);
        JS_FreeValue(ctx, name);
        return atom;
    }
    json->at = to + 1;
    uint32_t place = (length * 31 + from[0] * 7 + from[length / 2] * 3 + to[-1]) % NAMES_KNOWN;
    if (json->names[place].length != length || memcmp(json->names[place].text, from, length) != 0) {
        JSAtom atom = JS_NewAtomLen(ctx, (const char *)from, length);
        if (atom == JS_ATOM_NULL)
            return atom;
        if (json->names[place].length)
            JS_FreeAtom(ctx, json->names[place].atom);
        json->names[place].text = from;
        json->names[place].length = length;
        json->names[place].atom = atom;
    }
    return JS_DupAtom(ctx, json->names[place].atom);
}

static JSValue json_number(struct json *json)
{
    const uint8_t *from = json->at, *at = from;
    char text[LONGEST_NUMBER + 1];
    int32_t whole = 0;

    if (*at == '-')
        at++;
    const uint8_t *digits = at;
    for (; at < json->end && is_digit(*at); at++)
        if (at - digits < 9)
            whole = 10 * whole + (*at - '0');
    if (at == digits || (*digits == '0' && at > digits + 1))
        return json_left(json);
    int is_whole = at == json->end || (*at != '.' && *at != 'e' && *at != 'E');
    if (is_whole && at - digits <= 9 && (whole || *from != '-')) {
        json->at = at;
        return JS_NewInt32(ctx, *from == '-' ? -whole : whole);
    }
    if (at < json->end && *at == '.') {
        const uint8_t *fraction = ++at;
        while (at < json->end && is_digit(*at))
            at++;
        if (at == fraction)
            return json_left(json);
    }
    if (at < json->end && (*at == 'e' || *at == 'E')) {
        at++;
        if (at < json->end && (*at == '+' || *at == '-'))
            at++;
        const uint8_t *exponent = at;
        while (at < json->end && is_digit(*at))
            at++;
        if (at == exponent)
            return json_left(json);
    }
    if (at - from > LONGEST_NUMBER)
        return json_left(json);
    memcpy(text, from, at - from);
    text[at - from] = 0;
    json->at = at;
    return js_float64(strtod(text, NULL));
}

/* Arrays and objects are made of the values that were kept from `first` on. */

static JSValue json_array(struct json *json, uint32_t first)
{
    uint32_t length = json->count - first;
    JSValue array = JS_NewArray(ctx);
    if (JS_IsException(array) || length == 0)
        return array;
    JSObject *object = JS_VALUE_GET_OBJ(array);
    if (expand_fast_array(ctx, object, length) < 0) {
        JS_FreeValue(ctx, array);
        return JS_EXCEPTION;
    }
    memcpy(object->u.array.u.values, json->values + first, length * sizeof(JSValue));
    object->u.array.count = length;
    object->prop[0].u.value = js_int32(length);
    json->count = first;
    return array;
}

static int has_names(JSShape *shape, const JSAtom *names, uint32_t count)
{
    if ((uint32_t)shape->prop_count != count)
        return 0;
    JSShapeProperty *property = get_shape_prop(shape);
    for (uint32_t i = 0; i < count; i++)
        if (property[i].atom != names[i])
            return 0;
    return 1;
}

static void json_remember(struct json *json, JSShape *shape)
{
    JSShape **place = &json->shapes[json->next_shape++ % SHAPES_KNOWN];
    if (*place)
        js_free_shape(rt, *place);
    *place = js_dup_shape(shape);
}

static JSValue json_object(struct json *json, uint32_t first)
{
    uint32_t count = json->count - first;
    JSAtom *names = json->atoms + first;
    JSValue *values = json->values + first;

    for (int i = 0; count && i < SHAPES_KNOWN && json->shapes[i]; i++) {
        if (!has_names(json->shapes[i], names, count))
            continue;
        JSValue value = JS_NewObjectFromShape(ctx, js_dup_shape(json->shapes[i]), JS_CLASS_OBJECT, NULL);
        if (JS_IsException(value))
            return value;
        for (uint32_t j = 0; j < count; j++) {
            JS_VALUE_GET_OBJ(value)->prop[j].u.value = values[j];
            JS_FreeAtom(ctx, names[j]);
        }
        json->count = first;
        return value;
    }

    JSValue value = JS_NewObject(ctx);
    if (JS_IsException(value))
        return value;
    for (uint32_t j = 0; j < count; j++) {
        JSValue one = values[j];
        values[j] = JS_UNDEFINED; /* the call below takes the value over, even if it fails */
        if (JS_DefinePropertyValue(ctx, value, names[j], one, JS_PROP_C_W_E) < 0) {
            JS_FreeValue(ctx, value);
            return JS_EXCEPTION;
        }
    }
    JSShape *shape = JS_VALUE_GET_OBJ(value)->shape;
    if (count && shape->is_hashed && has_names(shape, names, count))
        json_remember(json, shape);
    for (uint32_t j = 0; j < count; j++)
        JS_FreeAtom(ctx, names[j]);
    json->count = first;
    return value;
}

/* Parses an array or object, from behind its opening bracket. */
static JSValue json_members(struct json *json, int level, int is_object)
{
    uint32_t first = json->count;
    uint8_t last = is_object ? '}' : ']';

    if (json_next(json) == last) {
        json->at++;
        return is_object ? json_object(json, first) : json_array(json, first);
    }
    for (;;) {
        JSAtom name = JS_ATOM_NULL;
        if (is_object) {
            if (json_next(json) != '"')
                return json_left(json);
            json->at++;
            name = json_name(json);
            if (name == JS_ATOM_NULL)
                return JS_EXCEPTION;
            if (json_next(json) != ':') {
                JS_FreeAtom(ctx, name);
                return json_left(json);
            }
            json->at++;
        }
        JSValue value = json_value(json, level + 1);
        if (JS_IsException(value)) {
            JS_FreeAtom(ctx, name);
            return value;
        }
        if (!json_keep(json, name, value))
            return JS_EXCEPTION;
        uint8_t next = json_next(json);
        if (next != ',' && next != last)
            return json_left(json);
        json->at++;
        if (next == last)
            return is_object ? json_object(json, first) : json_array(json, first);
    }
}

static JSValue json_word(struct json *json, const char *word, JSValue value)
{
    uint32_t length = strlen(word);
    if ((uint32_t)(json->end - json->at) < length || memcmp(json->at, word, length) != 0)
        return json_left(json);
    json->at += length;
    return value;
}

static JSValue json_value(struct json *json, int level)
{
    if (level > LEVELS)
        return json_left(json);
    switch (json_next(json)) {
    case '{':
        json->at++;
        return json_members(json, level, 1);
    case '[':
        json->at++;
        return json_members(json, level, 0);
    case '"':
        json->at++;
        return json_string(json);
    case 't':
        return json_word(json, "true", JS_TRUE);
    case 'f':
        return json_word(json, "false", JS_FALSE);
    case 'n':
        return json_word(json, "null", JS_NULL);
    case '-': case '0': case '1': case '2': case '3': case '4': case '5': case '6': case '7': case '8': case '9':
        return json_number(json);
    default:
        return json_left(json);
    }
}

/* Returns the value or an exception. If `*is_left` is set, there is no value, and the engine must parse the text. */
static JSValue json_parsed(const uint8_t *text, uint32_t length, int *is_left)
{
    struct json json = { .at = text, .end = text + length };

    JSValue value = json_value(&json, 0);
    if (!JS_IsException(value) && (json_next(&json), json.at < json.end)) {
        JS_FreeValue(ctx, value);
        value = json_left(&json);
    }
    while (json.count > 0) {
        JS_FreeAtom(ctx, json.atoms[--json.count]);
        JS_FreeValue(ctx, json.values[json.count]);
    }
    for (int i = 0; i < NAMES_KNOWN; i++)
        if (json.names[i].length)
            JS_FreeAtom(ctx, json.names[i].atom);
    for (int i = 0; i < SHAPES_KNOWN; i++)
        if (json.shapes[i])
            js_free_shape(rt, json.shapes[i]);
    js_free(ctx, json.values);
    js_free(ctx, json.atoms);
    *is_left = json.is_left && JS_IsException(value);
    return value;
}
