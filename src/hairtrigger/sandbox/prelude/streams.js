// Streams, after https://streams.spec.whatwg.org/. Each object that code sees is the face of a record. The functions
// work on records, and are named after the operations of the specification.

const {
  ReadableStream, ReadableStreamDefaultReader, ReadableStreamBYOBReader, ReadableStreamDefaultController,
  ReadableByteStreamController, ReadableStreamBYOBRequest, WritableStream, WritableStreamDefaultWriter,
  WritableStreamDefaultController, TransformStream, TransformStreamDefaultController, ByteLengthQueuingStrategy,
  CountQueuingStrategy, byteStream, isReadableStream, isDisturbed, isLocked, bytesOfStream, teedStream, transforming,
} = (() => {
  const { max, min } = Math;
  const nothing = () => {};
  const capability = () => {
    const made = { pending: true };
    made.promise = new Promise((resolve, reject) => {
      made.resolve = (value) => { made.pending = false; resolve(value); };
      made.reject = (error) => { made.pending = false; reject(error); };
    });
    return made;
  };
  const resolved = (value) => new Promise((resolve) => { resolve(value); });
  const rejected = (error) => new Promise((_, reject) => { reject(error); });
  const upon = (promise, fulfilled, failed) => apply(then, promise, [fulfilled, failed]);
  const handled = (promise) => { upon(promise, undefined, nothing); return promise; };
  const promising = (steps) => { // the result of the steps, or a rejected promise if they throw
    try { return steps(); } catch (error) { return rejected(error); }
  };
  const settledAlready = (value) => { const made = capability(); made.resolve(value); return made; };
  const failedAlready = (error) => {
    const made = capability();
    handled(made.promise);
    made.reject(error);
    return made;
  };
  const illegal = (what) => new TypeError(what);
  const faced = (Class, kind, record) => { // gives a record a new face
    record.face = Object.create(Class.prototype);
    return stamp(record.face, kind, record);
  };

  // The arguments of constructors: dictionaries of callbacks, and strategies.

  function callback(owner, steps, name) {
    if (steps === undefined) return undefined;
    if (typeof steps !== "function") throw illegal(`${name} is not a function`);
    return (...values) => apply(steps, owner, values);
  }
  const promised = (steps) => steps && ((...values) => promising(() => resolved(steps(...values))));
  function strategyOf(given) {
    const { highWaterMark, size } = dictionary(given);
    const mark = highWaterMark === undefined ? undefined : +highWaterMark;
    if (size !== undefined && typeof size !== "function") throw illegal("size is not a function");
    return { mark, size: size && ((chunk) => +size(chunk)), isSized: size !== undefined };
  }
  function markOf({ mark }, usual) {
    if (mark === undefined) return usual;
    if (!(mark >= 0)) throw new RangeError("The highWaterMark is not a number from 0");
    return mark;
  }
  const one = () => 1;

  // Queues with sizes.

  const emptyQueue = (record) => { record.queue = []; record.total = 0; };
  function enqueueSized(record, value, size) {
    if (!(size >= 0) || size === Infinity) throw new RangeError("The size of a chunk is not a finite number from 0");
    record.queue.push({ value, size });
    record.total += size;
  }
  function dequeue(record) {
    const { value, size } = record.queue.shift();
    record.total = max(0, record.total - size);
    return value;
  }

  // Readable streams.

  const newReadable = (face) =>
    ({ face, state: "readable", reader: undefined, error: undefined, disturbed: false, controller: undefined });
  const readableLocked = (stream) => stream.reader !== undefined;
  const waitingReads = (stream) => stream.reader.requests.length;
  const hasDefaultReader = (stream) => stream.reader !== undefined && !stream.reader.byob;
  const hasByobReader = (stream) => stream.reader !== undefined && stream.reader.byob;

  function fulfilRead(stream, chunk, done) {
    const request = stream.reader.requests.shift();
    if (done) request.close(chunk);
    else request.chunk(chunk);
  }
  function closeReadable(stream) {
    stream.state = "closed";
    const { reader } = stream;
    if (reader === undefined) return;
    reader.closed.resolve(undefined);
    if (reader.byob) return;
    for (const request of reader.requests.splice(0)) request.close();
  }
  function failReadable(stream, error) {
    stream.state = "errored";
    stream.error = error;
    const { reader } = stream;
    if (reader === undefined) return;
    reader.closed.reject(error);
    handled(reader.closed.promise);
    for (const request of reader.requests.splice(0)) request.fail(error);
  }
  function cancelReadable(stream, reason) {
    stream.disturbed = true;
    if (stream.state === "closed") return resolved(undefined);
    if (stream.state === "errored") return rejected(stream.error);
    closeReadable(stream);
    if (hasByobReader(stream)) for (const request of stream.reader.requests.splice(0)) request.close(undefined);
    return upon(stream.controller.cancelSteps(reason), nothing);
  }

  // Readers.

  function acquireReader(stream, byob, face) {
    if (readableLocked(stream)) throw illegal("The stream is locked to a reader already");
    if (byob && stream.controller.kind !== "byteController") throw illegal("The stream is no stream of bytes");
    const reader = { byob, requests: [], stream, closed: capability() };
    stream.reader = reader;
    if (stream.state === "closed") reader.closed.resolve(undefined);
    if (stream.state === "errored") {
      handled(reader.closed.promise);
      reader.closed.reject(stream.error);
    }
    const kind = byob ? "byobReader" : "reader";
    if (!face) return faced(byob ? ReadableStreamBYOBReader : ReadableStreamDefaultReader, kind, reader);
    reader.face = face;
    return stamp(face, kind, reader);
  }
  function releaseReader(reader) {
    const { stream } = reader;
    if (stream === undefined) return;
    const error = illegal("The reader was released");
    if (stream.state === "readable") reader.closed.reject(error);
    else reader.closed = failedAlready(error);
    handled(reader.closed.promise);
    stream.controller.releaseSteps();
    stream.reader = undefined;
    reader.stream = undefined;
    for (const request of reader.requests.splice(0)) request.fail(error);
  }
  function read(reader, request) {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === "closed") request.close();
    else if (stream.state === "errored") request.fail(stream.error);
    else stream.controller.pullSteps(request);
  }
  function readInto(reader, view, least, request) {
    const { stream } = reader;
    stream.disturbed = true;
    if (stream.state === "errored") request.fail(stream.error);
    else pullInto(stream.controller, view, least, request);
  }
  const needsStream = (reader) => {
    if (reader.stream === undefined) throw illegal("The reader was released");
    return reader.stream;
  };
  const settling = ({ resolve, reject }) => ({
    chunk: (value) => resolve({ value, done: false }),
    close: (value) => resolve({ value, done: true }),
    fail: reject,
  });
  const readPromise = (reader) => {
    const result = capability();
    read(reader, settling(result));
    return result.promise;
  };

  const READER = (kind) => class {
    get closed() { return promising(() => it(this, kind).closed.promise); }
    cancel(reason = undefined) {
      return promising(() => cancelReadable(needsStream(it(this, kind)), reason));
    }
    releaseLock() { releaseReader(it(this, kind)); }
  };
  const sharing = (Class, mixin) => { // gives a class the members of an interface mixin
    for (const key of ownKeys(mixin.prototype))
      if (key !== "constructor")
        Object.defineProperty(Class.prototype, key, Object.getOwnPropertyDescriptor(mixin.prototype, key));
    return Class;
  };

  class ReadableStreamDefaultReader {
    constructor(stream) { acquireReader(it(stream, "readable"), false, this); }
    read() {
      return promising(() => {
        const reader = it(this, "reader");
        needsStream(reader);
        return readPromise(reader);
      });
    }
  }
  sharing(ReadableStreamDefaultReader, READER("reader"));

  class ReadableStreamBYOBReader {
    constructor(stream) { acquireReader(it(stream, "readable"), true, this); }
    read(view, options = {}) {
      return promising(() => {
        const reader = it(this, "byobReader");
        if (!ArrayBuffer.isView(view)) throw illegal("read needs a view of a buffer");
        if (view.buffer instanceof SharedArrayBuffer) throw illegal("The view's buffer is shared");
        const { min: given } = dictionary(options);
        const least = given === undefined ? 1 : enforcedRange(given, 2 ** 53 - 1);
        if (view.byteLength === 0 || view.buffer.byteLength === 0) throw illegal("The view is empty");
        if (view.buffer.detached) throw illegal("The view's buffer is detached");
        if (least === 0) throw illegal("min is 0");
        if (least > (view instanceof DataView ? view.byteLength : view.length))
          throw new RangeError("min is larger than the view");
        needsStream(reader);
        const result = capability();
        readInto(reader, view, least, settling(result));
        return result.promise;
      });
    }
  }
  sharing(ReadableStreamBYOBReader, READER("byobReader"));

  // The default controller.

  const canCloseOrEnqueue = (controller) => !controller.closeRequested && controller.stream.state === "readable";
  function desiredSize(controller) {
    const { state } = controller.stream;
    return state === "errored" ? null : state === "closed" ? 0 : controller.mark - controller.total;
  }
  function shouldPull(controller) {
    const { stream } = controller;
    if (!canCloseOrEnqueue(controller) || !controller.started) return false;
    if (readableLocked(stream) && waitingReads(stream) > 0) return true;
    return desiredSize(controller) > 0;
  }
  function pullIfNeeded(controller) {
    if (!shouldPull(controller)) return;
    if (controller.pulling) {
      controller.pullAgain = true;
      return;
    }
    controller.pulling = true;
    upon(controller.pull(controller.face), () => {
      controller.pulling = false;
      if (!controller.pullAgain) return;
      controller.pullAgain = false;
      pullIfNeeded(controller);
    }, (error) => failController(controller, error));
  }
  function clearAlgorithms(controller) { controller.pull = controller.cancel = controller.size = undefined; }
  function failController(controller, error) {
    if (controller.stream.state !== "readable") return;
    controller.pendingInto &&= [];
    if (controller.pendingInto) invalidateRequest(controller);
    emptyQueue(controller);
    clearAlgorithms(controller);
    failReadable(controller.stream, error);
  }
  function closeDefault(controller) {
    if (!canCloseOrEnqueue(controller)) return;
    controller.closeRequested = true;
    if (controller.queue.length > 0) return;
    clearAlgorithms(controller);
    closeReadable(controller.stream);
  }
  function enqueueDefault(controller, chunk) {
    const { stream } = controller;
    if (!canCloseOrEnqueue(controller)) return;
    if (readableLocked(stream) && waitingReads(stream) > 0) fulfilRead(stream, chunk, false);
    else {
      try {
        enqueueSized(controller, chunk, controller.size(chunk));
      } catch (error) {
        failController(controller, error);
        throw error;
      }
    }
    pullIfNeeded(controller);
  }
  function started(controller, start, after) {
    upon(resolved(start(controller.face)), () => {
      controller.started = true;
      after(controller);
    }, (error) => failController(controller, error));
  }
  function defaultController(stream, start, pull, cancel, mark, size) {
    const controller = faced(ReadableStreamDefaultController, "controller", {
      stream, mark, size, pull, cancel, started: false, closeRequested: false, pulling: false, pullAgain: false,
      cancelSteps(reason) {
        emptyQueue(controller);
        const result = controller.cancel(reason);
        clearAlgorithms(controller);
        return result;
      },
      pullSteps(request) {
        if (controller.queue.length === 0) {
          stream.reader.requests.push(request);
          return pullIfNeeded(controller);
        }
        const chunk = dequeue(controller);
        if (controller.closeRequested && controller.queue.length === 0) {
          clearAlgorithms(controller);
          closeReadable(stream);
        } else pullIfNeeded(controller);
        request.chunk(chunk);
      },
      releaseSteps: nothing,
    });
    emptyQueue(controller);
    stream.controller = controller;
    started(controller, start, pullIfNeeded);
    return controller;
  }

  class ReadableStreamDefaultController {
    constructor() { throw illegal("Illegal constructor"); }
    get desiredSize() { return desiredSize(it(this, "controller")); }
    close() {
      const controller = it(this, "controller");
      if (!canCloseOrEnqueue(controller)) throw illegal("The stream cannot be closed");
      closeDefault(controller);
    }
    enqueue(chunk = undefined) {
      const controller = it(this, "controller");
      if (!canCloseOrEnqueue(controller)) throw illegal("The stream takes no more chunks");
      enqueueDefault(controller, chunk);
    }
    error(reason = undefined) { failController(it(this, "controller"), reason); }
  }

  // The controller of bytes.

  const copied = (buffer, start, length) => buffer.slice(start, start + length);
  const isByob = (controller) => controller.pendingInto.length > 0;
  function enqueueBytes(controller, buffer, start, length) {
    controller.queue.push({ buffer, start, length });
    controller.total += length;
  }
  function enqueueClone(controller, buffer, start, length) {
    let clone;
    try {
      clone = copied(buffer, start, length);
    } catch (error) {
      failController(controller, error);
      throw error;
    }
    enqueueBytes(controller, clone, 0, length);
  }
  function enqueueDetached(controller, into) {
    if (into.filled > 0) enqueueClone(controller, into.buffer, into.start, into.filled);
    shiftInto(controller);
  }
  function shiftInto(controller) {
    invalidateRequest(controller);
    return controller.pendingInto.shift();
  }
  function invalidateRequest(controller) {
    if (!controller.request) return;
    controller.request.controller = undefined;
    controller.request.view = null;
    controller.request = null;
  }
  function viewOf(into) {
    const length = into.filled / into.element;
    return new into.View(into.buffer.transfer(), into.start, length);
  }
  function commitInto(stream, into) {
    fulfilRead(stream, viewOf(into), stream.state === "closed");
  }
  function fillFromQueue(controller, into) {
    const most = min(controller.total, into.length - into.filled);
    const after = into.filled + most;
    let left = most;
    let ready = false;
    const aligned = after - (after % into.element);
    if (aligned >= into.least) {
      left = aligned - into.filled;
      ready = true;
    }
    while (left > 0) {
      const [head] = controller.queue;
      const count = min(left, head.length);
      new Uint8Array(into.buffer, into.start + into.filled, count).set(new Uint8Array(head.buffer, head.start, count));
      if (head.length === count) controller.queue.shift();
      else {
        head.start += count;
        head.length -= count;
      }
      controller.total -= count;
      into.filled += count;
      left -= count;
    }
    return ready;
  }
  function processPending(controller) {
    const filled = [];
    while (isByob(controller) && controller.total > 0) {
      const [into] = controller.pendingInto;
      if (fillFromQueue(controller, into)) {
        shiftInto(controller);
        filled.push(into);
      }
    }
    return filled;
  }
  function handleDrain(controller) {
    if (controller.total === 0 && controller.closeRequested) {
      clearAlgorithms(controller);
      closeReadable(controller.stream);
    } else pullIfNeeded(controller);
  }
  function fillFirstRequest(controller, request) {
    const head = controller.queue.shift();
    controller.total -= head.length;
    handleDrain(controller);
    request.chunk(new Uint8Array(head.buffer, head.start, head.length));
  }
  function closeBytes(controller) {
    const { stream } = controller;
    if (controller.closeRequested || stream.state !== "readable") return;
    if (controller.total > 0) {
      controller.closeRequested = true;
      return;
    }
    const [first] = controller.pendingInto;
    if (first && first.filled % first.element !== 0) {
      const error = illegal("The stream was closed in the middle of an element");
      failController(controller, error);
      throw error;
    }
    clearAlgorithms(controller);
    closeReadable(stream);
  }
  function enqueueChunk(controller, chunk) {
    const { stream } = controller;
    if (controller.closeRequested || stream.state !== "readable") return;
    const { buffer, byteOffset, byteLength } = chunk;
    if (buffer.detached) throw illegal("The chunk's buffer is detached");
    const own = buffer.transfer();
    if (isByob(controller)) {
      const [first] = controller.pendingInto;
      if (first.buffer.detached) throw illegal("The buffer that is read into is detached");
      invalidateRequest(controller);
      first.buffer = first.buffer.transfer();
      if (first.reader === "none") enqueueDetached(controller, first);
    }
    if (hasDefaultReader(stream)) {
      while (controller.total > 0 && waitingReads(stream) > 0)
        fillFirstRequest(controller, stream.reader.requests.shift());
      if (waitingReads(stream) === 0) enqueueBytes(controller, own, byteOffset, byteLength);
      else {
        if (isByob(controller)) shiftInto(controller);
        fulfilRead(stream, new Uint8Array(own, byteOffset, byteLength), false);
      }
    } else if (hasByobReader(stream)) {
      enqueueBytes(controller, own, byteOffset, byteLength);
      for (const into of processPending(controller)) commitInto(stream, into);
    } else enqueueBytes(controller, own, byteOffset, byteLength);
    pullIfNeeded(controller);
  }
  function pullInto(controller, view, least, request) {
    const { stream } = controller;
    const isData = view instanceof DataView;
    const View = isData ? DataView : TYPED[typeName(view)];
    const element = isData ? 1 : View.BYTES_PER_ELEMENT;
    const { byteOffset: start, byteLength: length } = view;
    let buffer;
    try {
      if (view.buffer.detached) throw illegal("The view's buffer is detached");
      buffer = view.buffer.transfer();
    } catch (error) {
      request.fail(error);
      return;
    }
    const into = {
      buffer, size: buffer.byteLength, start, length, filled: 0, least: least * element, element, View, reader: "byob",
    };
    if (isByob(controller)) {
      controller.pendingInto.push(into);
      stream.reader.requests.push(request);
    } else if (stream.state === "closed") {
      request.close(new View(buffer, start, 0));
    } else {
      if (controller.total > 0) {
        if (fillFromQueue(controller, into)) {
          const filled = viewOf(into);
          handleDrain(controller);
          request.chunk(filled);
          return;
        }
        if (controller.closeRequested) {
          const error = illegal("The stream was closed in the middle of an element");
          failController(controller, error);
          request.fail(error);
          return;
        }
      }
      controller.pendingInto.push(into);
      stream.reader.requests.push(request);
      pullIfNeeded(controller);
    }
  }
  function respondInto(controller, count) {
    const { stream } = controller;
    const [first] = controller.pendingInto;
    invalidateRequest(controller);
    if (stream.state === "closed") {
      if (first.reader === "none") shiftInto(controller);
      if (!hasByobReader(stream)) return pullIfNeeded(controller);
      const filled = [];
      while (filled.length < waitingReads(stream)) filled.push(shiftInto(controller));
      for (const into of filled) commitInto(stream, into);
    } else respondReadable(controller, first, count);
    pullIfNeeded(controller);
  }
  function respondReadable(controller, first, count) {
    const { stream } = controller;
    first.filled += count;
    if (first.reader === "none") {
      enqueueDetached(controller, first);
      for (const into of processPending(controller)) commitInto(stream, into);
      return;
    }
    if (first.filled < first.least) return;
    shiftInto(controller);
    const rest = first.filled % first.element;
    if (rest > 0) {
      const end = first.start + first.filled;
      enqueueClone(controller, first.buffer, end - rest, rest);
    }
    first.filled -= rest;
    const filled = processPending(controller);
    commitInto(stream, first);
    for (const into of filled) commitInto(stream, into);
  }
  function respondCount(controller, count) {
    const [first] = controller.pendingInto;
    if (controller.stream.state === "closed") {
      if (count !== 0) throw illegal("A closed stream is answered with 0 bytes");
    } else {
      if (count === 0) throw illegal("0 bytes are no answer");
      if (first.filled + count > first.length) throw new RangeError("More bytes than the view holds");
    }
    first.buffer = first.buffer.transfer();
    respondInto(controller, count);
  }
  function respondView(controller, view) {
    const [first] = controller.pendingInto;
    const { buffer, byteOffset, byteLength } = view;
    if (buffer.detached) throw illegal("The view's buffer is detached");
    if (controller.stream.state === "closed") {
      if (byteLength !== 0) throw illegal("A closed stream is answered with an empty view");
    } else if (byteLength === 0) throw illegal("An empty view is no answer");
    if (first.start + first.filled !== byteOffset) throw new RangeError("The view begins elsewhere");
    if (first.size !== buffer.byteLength) throw new RangeError("The view's buffer has another size");
    if (first.filled + byteLength > first.length) throw new RangeError("The view is too long");
    first.buffer = buffer.transfer();
    respondInto(controller, byteLength);
  }
  function byteController(stream, start, pull, cancel, mark, autoAllocate) {
    const controller = faced(ReadableByteStreamController, "byteController", {
      stream, mark, pull, cancel, autoAllocate, started: false, closeRequested: false, pulling: false,
      pullAgain: false, request: null, pendingInto: [], kind: "byteController",
      cancelSteps(reason) {
        invalidateRequest(controller);
        controller.pendingInto = [];
        emptyQueue(controller);
        const result = controller.cancel(reason);
        clearAlgorithms(controller);
        return result;
      },
      pullSteps(request) {
        if (controller.total > 0) return fillFirstRequest(controller, request);
        if (autoAllocate !== undefined) {
          let buffer;
          try {
            buffer = new ArrayBuffer(autoAllocate);
          } catch (error) {
            return request.fail(error);
          }
          controller.pendingInto.push({
            buffer, size: autoAllocate, start: 0, length: autoAllocate, filled: 0, least: 1, element: 1,
            View: Uint8Array, reader: "default",
          });
        }
        stream.reader.requests.push(request);
        pullIfNeeded(controller);
      },
      releaseSteps() {
        const [first] = controller.pendingInto;
        if (!first) return;
        first.reader = "none";
        controller.pendingInto = [first];
      },
    });
    emptyQueue(controller);
    stream.controller = controller;
    started(controller, start, pullIfNeeded);
    return controller;
  }
  function byobRequest(controller) {
    if (controller.request === null && isByob(controller)) {
      const [first] = controller.pendingInto;
      const view = new Uint8Array(first.buffer, first.start + first.filled, first.length - first.filled);
      controller.request = faced(ReadableStreamBYOBRequest, "byobRequest", { controller, view });
    }
    return controller.request?.face ?? null;
  }

  class ReadableByteStreamController {
    constructor() { throw illegal("Illegal constructor"); }
    get byobRequest() { return byobRequest(it(this, "byteController")); }
    get desiredSize() { return desiredSize(it(this, "byteController")); }
    close() {
      const controller = it(this, "byteController");
      if (!canCloseOrEnqueue(controller)) throw illegal("The stream cannot be closed");
      closeBytes(controller);
    }
    enqueue(chunk) {
      const controller = it(this, "byteController");
      if (!ArrayBuffer.isView(chunk)) throw illegal("A chunk of a stream of bytes is a view of a buffer");
      if (chunk.buffer instanceof SharedArrayBuffer) throw illegal("The chunk's buffer is shared");
      if (chunk.byteLength === 0 || chunk.buffer.byteLength === 0) throw illegal("The chunk is empty");
      if (!canCloseOrEnqueue(controller)) throw illegal("The stream takes no more chunks");
      enqueueChunk(controller, chunk);
    }
    error(reason = undefined) { failController(it(this, "byteController"), reason); }
  }

  class ReadableStreamBYOBRequest {
    constructor() { throw illegal("Illegal constructor"); }
    get view() { return it(this, "byobRequest").view; }
    respond(count) {
      const request = it(this, "byobRequest");
      const bytes = enforcedRange(count, 2 ** 53 - 1);
      if (request.controller === undefined) throw illegal("The request was answered already");
      if (request.view.buffer.detached) throw illegal("The view's buffer is detached");
      respondCount(request.controller, bytes);
    }
    respondWithNewView(view) {
      const request = it(this, "byobRequest");
      if (!ArrayBuffer.isView(view)) throw illegal("The answer is a view of a buffer");
      if (request.controller === undefined) throw illegal("The request was answered already");
      if (view.buffer.detached) throw illegal("The view's buffer is detached");
      respondView(request.controller, view);
    }
  }

  // The stream itself.

  function createReadable(start, pull, cancel, mark = 1, size = one) {
    const stream = newReadable(undefined);
    faced(ReadableStream, "readable", stream);
    defaultController(stream, start, pull, cancel, mark, size);
    return stream;
  }
  function createBytes(start, pull, cancel, mark = 0) {
    const stream = newReadable(undefined);
    faced(ReadableStream, "readable", stream);
    byteController(stream, start, pull, cancel, mark, undefined);
    return stream;
  }
  function sourceMembers(source) {
    const { autoAllocateChunkSize, cancel, pull, start, type } = source ?? {};
    const members = {
      autoAllocate: autoAllocateChunkSize === undefined ? undefined : enforcedRange(autoAllocateChunkSize, 2 ** 53 - 1),
      cancel: promised(callback(source, cancel, "cancel")) ?? (() => resolved(undefined)),
      pull: promised(callback(source, pull, "pull")) ?? (() => resolved(undefined)),
      start: callback(source, start, "start") ?? nothing,
      type,
    };
    if (type !== undefined && string(type) !== "bytes") throw illegal(`'${string(type)}' is no type of stream`);
    return members;
  }

  class ReadableStream {
    constructor(source = undefined, strategy = {}) {
      if (source !== undefined && !isObject(source)) throw illegal("The underlying source is not an object");
      const given = strategyOf(strategy);
      const { autoAllocate, cancel, pull, start, type } = sourceMembers(source);
      const stream = stamp(this, "readable", newReadable(this));
      if (type === undefined) {
        defaultController(stream, start, pull, cancel, markOf(given, 1), given.size ?? one);
        return;
      }
      if (given.isSized) throw new RangeError("A stream of bytes has no size of its own");
      const mark = markOf(given, 0);
      if (autoAllocate === 0) throw illegal("autoAllocateChunkSize is 0");
      byteController(stream, start, pull, cancel, mark, autoAllocate);
    }
    static from(iterable) { return fromIterable(iterable).face; }
    get locked() { return readableLocked(it(this, "readable")); }
    cancel(reason = undefined) {
      return promising(() => {
        const stream = it(this, "readable");
        if (readableLocked(stream)) throw illegal("A locked stream cannot be cancelled");
        return cancelReadable(stream, reason);
      });
    }
    getReader(options = {}) {
      const stream = it(this, "readable");
      const { mode } = dictionary(options);
      if (mode !== undefined && string(mode) !== "byob") throw illegal(`'${string(mode)}' is no mode of a reader`);
      return acquireReader(stream, mode !== undefined).face;
    }
    pipeThrough(transform, options = {}) {
      const stream = it(this, "readable");
      const { readable, writable } = transformPair(transform);
      const piping = pipeOptions(options);
      if (readableLocked(stream)) throw illegal("A locked stream cannot be piped");
      if (writable.writer !== undefined) throw illegal("The stream to pipe into is locked");
      handled(pipe(stream, writable, piping));
      return readable.face;
    }
    pipeTo(destination, options = {}) {
      return promising(() => {
        const stream = it(this, "readable");
        const writable = it(destination, "writable");
        const piping = pipeOptions(options);
        if (readableLocked(stream)) throw illegal("A locked stream cannot be piped");
        if (writable.writer !== undefined) throw illegal("The stream to pipe into is locked");
        return pipe(stream, writable, piping);
      });
    }
    tee() { return tee(it(this, "readable")).map((branch) => branch.face); }
    values(options = {}) {
      const stream = it(this, "readable");
      const { preventCancel } = dictionary(options);
      const iterator = Object.create(ITERATOR);
      stamp(iterator, "iterator", {
        reader: acquireReader(stream, false), preventCancel: !!preventCancel, ongoing: undefined, finished: false,
      });
      return iterator;
    }
  }
  Object.defineProperty(ReadableStream.prototype, Symbol.asyncIterator, {
    value: ReadableStream.prototype.values, writable: true, configurable: true,
  });

  // Iteration, both ways.

  function nextChunk(iterator) {
    if (iterator.finished) return resolved({ value: undefined, done: true });
    const { reader } = iterator;
    const result = capability();
    read(reader, {
      chunk: (value) => result.resolve({ value, done: false }),
      close: () => { releaseReader(reader); result.resolve({ value: undefined, done: true }); },
      fail: (error) => { releaseReader(reader); result.reject(error); },
    });
    return upon(result.promise, (next) => {
      iterator.ongoing = undefined;
      iterator.finished ||= next.done;
      return next;
    }, (error) => {
      iterator.ongoing = undefined;
      iterator.finished = true;
      throw error;
    });
  }
  function endIteration(iterator, value) {
    if (iterator.finished) return resolved({ value, done: true });
    iterator.finished = true;
    const { reader } = iterator;
    const done = iterator.preventCancel ? resolved(undefined) : cancelReadable(reader.stream, value);
    releaseReader(reader);
    return upon(done, () => ({ value, done: true }));
  }
  const inTurn = (iterator, steps) => {
    iterator.ongoing = iterator.ongoing ? upon(iterator.ongoing, steps, steps) : steps();
    return iterator.ongoing;
  };
  const ITERATOR = Object.create(Object.getPrototypeOf(Object.getPrototypeOf((async function* () {}).prototype)), {
    next: {
      value: function next() {
        return promising(() => {
          const iterator = it(this, "iterator");
          return inTurn(iterator, () => nextChunk(iterator));
        });
      },
      enumerable: true, writable: true, configurable: true,
    },
    return: {
      value: { return(value) {
        return promising(() => {
          const iterator = it(this, "iterator");
          return inTurn(iterator, () => endIteration(iterator, value));
        });
      } }.return,
      enumerable: true, writable: true, configurable: true,
    },
    [Symbol.toStringTag]: { value: "ReadableStream AsyncIterator", configurable: true },
  });

  function asyncIteratorOf(iterable) { // GetIterator(iterable, async)
    const method = iterable[Symbol.asyncIterator];
    if (method !== undefined && method !== null) {
      const iterator = apply(method, iterable, []);
      if (!isObject(iterator)) throw illegal("What Symbol.asyncIterator returned is not an object");
      return { iterator, next: iterator.next };
    }
    const iterator = apply(iterable[Symbol.iterator], iterable, []);
    if (!isObject(iterator)) throw illegal("What Symbol.iterator returned is not an object");
    const { next } = iterator;
    const awaited = (result) => {
      if (!isObject(result)) throw illegal("An iterator's result is not an object");
      const { done, value } = result;
      return upon(resolved(value), (settled) => ({ done: !!done, value: settled }));
    };
    const wrapped = {
      return(value) {
        return promising(() => {
          const method = iterator.return;
          if (method === undefined || method === null) return resolved({ done: true, value });
          return awaited(apply(method, iterator, [value]));
        });
      },
    };
    return { iterator: wrapped, next: () => promising(() => awaited(apply(next, iterator, []))) };
  }
  function fromIterable(iterable) {
    const { iterator, next } = asyncIteratorOf(iterable);
    const pull = () => promising(() =>
      upon(resolved(apply(next, iterator, [])), (result) => {
        if (!isObject(result)) throw illegal("An iterator's result is not an object");
        if (result.done) closeDefault(stream.controller);
        else enqueueDefault(stream.controller, result.value);
      }));
    const cancel = (reason) => promising(() => {
      const method = iterator.return;
      if (method === undefined || method === null) return resolved(undefined);
      return upon(resolved(apply(method, iterator, [reason])), (result) => {
        if (!isObject(result)) throw illegal("An iterator's result is not an object");
      });
    });
    const stream = createReadable(nothing, pull, cancel, 0);
    return stream;
  }

  // Two streams of one.

  const tee = (stream, cloning = false) =>
    stream.controller.kind === "byteController" ? teeBytes(stream) : teeDefault(stream, cloning);

  function teeCancelling(stream, branches) { // cancelling both branches cancels the stream
    const cancelled = capability();
    const reasons = [];
    const cancelBranch = (i) => (reason) => {
      branches.cancelled[i] = true;
      reasons[i] = reason;
      if (branches.cancelled[1 - i]) cancelled.resolve(cancelReadable(stream, reasons));
      return cancelled.promise;
    };
    return { cancelled, cancelBranch };
  }
  function teeDefault(stream, cloning) { // the second branch gets clones of the chunks
    const reader = acquireReader(stream, false);
    const state = { cancelled: [false, false] };
    let [reading, again] = [false, false];
    const { cancelled, cancelBranch } = teeCancelling(stream, state);
    const both = (steps) => { for (const i of [0, 1]) if (!state.cancelled[i]) steps(branches[i].controller, i); };
    const pull = () => {
      if (reading) {
        again = true;
        return resolved(undefined);
      }
      reading = true;
      read(reader, {
        chunk: (chunk) => queueTask(() => {
          again = false;
          let second = chunk;
          try {
            if (cloning && !state.cancelled[1]) second = structuredClone(chunk);
          } catch (error) {
            for (const branch of branches) failController(branch.controller, error);
            cancelled.resolve(cancelReadable(stream, error));
            return;
          }
          both((controller, i) => enqueueDefault(controller, i === 0 ? chunk : second));
          reading = false;
          if (again) pull();
        }),
        close: () => {
          reading = false;
          both(closeDefault);
          if (!state.cancelled[0] || !state.cancelled[1]) cancelled.resolve(undefined);
        },
        fail: () => { reading = false; },
      });
      return resolved(undefined);
    };
    const branches = [0, 1].map((i) => createReadable(nothing, pull, cancelBranch(i)));
    upon(reader.closed.promise, undefined, (error) => {
      for (const branch of branches) failController(branch.controller, error);
      if (!state.cancelled[0] || !state.cancelled[1]) cancelled.resolve(undefined);
    });
    return branches;
  }
  function teeBytes(stream) {
    let reader = acquireReader(stream, false);
    const state = { cancelled: [false, false] };
    let reading = false;
    const again = [false, false];
    const { cancelled, cancelBranch } = teeCancelling(stream, state);
    const forward = (from) => {
      upon(from.closed.promise, undefined, (error) => {
        if (from !== reader) return;
        for (const branch of branches) failController(branch.controller, error);
        if (!state.cancelled[0] || !state.cancelled[1]) cancelled.resolve(undefined);
      });
    };
    const cloneView = (chunk) => new Uint8Array(copied(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    const cloneFailed = (error) => {
      for (const branch of branches) failController(branch.controller, error);
      cancelled.resolve(cancelReadable(stream, error));
    };
    const next = () => {
      reading = false;
      if (again[0]) pullBranch(0)();
      else if (again[1]) pullBranch(1)();
    };
    const closeBoth = () => {
      for (const i of [0, 1]) if (!state.cancelled[i]) closeBytes(branches[i].controller);
      for (const { controller } of branches) if (isByob(controller)) respondCount(controller, 0);
      if (!state.cancelled[0] || !state.cancelled[1]) cancelled.resolve(undefined);
    };
    const pullDefault = () => {
      if (reader.byob) {
        releaseReader(reader);
        reader = acquireReader(stream, false);
        forward(reader);
      }
      read(reader, {
        chunk: (chunk) => queueTask(() => {
          again.fill(false);
          let second = chunk;
          if (!state.cancelled[0] && !state.cancelled[1]) {
            try { second = cloneView(chunk); } catch (error) { return cloneFailed(error); }
          }
          if (!state.cancelled[0]) enqueueChunk(branches[0].controller, chunk);
          if (!state.cancelled[1]) enqueueChunk(branches[1].controller, second);
          next();
        }),
        close: () => {
          reading = false;
          closeBoth();
        },
        fail: () => { reading = false; },
      });
    };
    const pullByob = (view, i) => {
      if (!reader.byob) {
        releaseReader(reader);
        reader = acquireReader(stream, true);
        forward(reader);
      }
      const mine = branches[i].controller;
      const other = branches[1 - i].controller;
      readInto(reader, view, 1, {
        chunk: (chunk) => queueTask(() => {
          again.fill(false);
          if (!state.cancelled[1 - i]) {
            let copy;
            try { copy = cloneView(chunk); } catch (error) { return cloneFailed(error); }
            if (!state.cancelled[i]) respondView(mine, chunk);
            enqueueChunk(other, copy);
          } else if (!state.cancelled[i]) respondView(mine, chunk);
          next();
        }),
        close: (chunk) => {
          reading = false;
          if (!state.cancelled[i]) closeBytes(mine);
          if (!state.cancelled[1 - i]) closeBytes(other);
          if (chunk !== undefined) {
            if (!state.cancelled[i]) respondView(mine, chunk);
            if (!state.cancelled[1 - i] && isByob(other)) respondCount(other, 0);
          }
          if (!state.cancelled[0] || !state.cancelled[1]) cancelled.resolve(undefined);
        },
        fail: () => { reading = false; },
      });
    };
    const pullBranch = (i) => () => {
      if (reading) {
        again[i] = true;
        return resolved(undefined);
      }
      reading = true;
      byobRequest(branches[i].controller);
      const { request } = branches[i].controller;
      if (request === null) pullDefault();
      else pullByob(request.view, i);
      return resolved(undefined);
    };
    const branches = [0, 1].map((i) => createBytes(nothing, pullBranch(i), cancelBranch(i)));
    forward(reader);
    return branches;
  }

  // Writable streams.

  const newWritable = (face) => ({
    face, state: "writable", error: undefined, writer: undefined, controller: undefined, writes: [],
    inFlightWrite: undefined, closeRequest: undefined, inFlightClose: undefined, pendingAbort: undefined,
    backpressure: false,
  });
  const closeQueuedOrInFlight = (stream) => stream.closeRequest !== undefined || stream.inFlightClose !== undefined;
  const hasInFlight = (stream) => stream.inFlightWrite !== undefined || stream.inFlightClose !== undefined;

  function abortWritable(stream, reason) {
    if (stream.state === "closed" || stream.state === "errored") return resolved(undefined);
    abortSignal(stream.controller.signal, reason);
    if (stream.state === "closed" || stream.state === "errored") return resolved(undefined);
    if (stream.pendingAbort !== undefined) return stream.pendingAbort.promise;
    const wasErroring = stream.state === "erroring";
    stream.pendingAbort = { ...capability(), reason: wasErroring ? undefined : reason, wasErroring };
    const { promise } = stream.pendingAbort;
    if (!wasErroring) startErroring(stream, reason);
    return promise;
  }
  function closeWritable(stream) {
    if (stream.state === "closed" || stream.state === "errored")
      return rejected(illegal(`The stream is ${stream.state}`));
    stream.closeRequest = capability();
    const { promise } = stream.closeRequest;
    if (stream.writer !== undefined && stream.backpressure && stream.state === "writable")
      stream.writer.ready.resolve(undefined);
    enqueueSized(stream.controller, CLOSE, 0);
    advance(stream.controller);
    return promise;
  }
  function dealWithRejection(stream, error) {
    if (stream.state === "writable") startErroring(stream, error);
    else finishErroring(stream);
  }
  function startErroring(stream, reason) {
    const { controller, writer } = stream;
    stream.state = "erroring";
    stream.error = reason;
    if (writer !== undefined) ensureReadyRejected(writer, reason);
    if (!hasInFlight(stream) && controller.started) finishErroring(stream);
  }
  function finishErroring(stream) {
    stream.state = "errored";
    emptyQueue(stream.controller);
    for (const write of stream.writes.splice(0)) write.reject(stream.error);
    const abort = stream.pendingAbort;
    if (abort === undefined) return rejectClosed(stream);
    stream.pendingAbort = undefined;
    if (abort.wasErroring) {
      abort.reject(stream.error);
      return rejectClosed(stream);
    }
    const done = stream.controller.abort(abort.reason);
    clearWritable(stream.controller);
    upon(done, () => {
      abort.resolve(undefined);
      rejectClosed(stream);
    }, (error) => {
      abort.reject(error);
      rejectClosed(stream);
    });
  }
  function rejectClosed(stream) {
    if (stream.closeRequest !== undefined) {
      stream.closeRequest.reject(stream.error);
      stream.closeRequest = undefined;
    }
    if (stream.writer === undefined) return;
    stream.writer.closed.reject(stream.error);
    handled(stream.writer.closed.promise);
  }
  function finishClose(stream) {
    stream.inFlightClose.resolve(undefined);
    stream.inFlightClose = undefined;
    if (stream.state === "erroring") {
      stream.error = undefined;
      stream.pendingAbort?.resolve(undefined);
      stream.pendingAbort = undefined;
    }
    stream.state = "closed";
    stream.writer?.closed.resolve(undefined);
  }
  function updateBackpressure(stream, backpressure) {
    const { writer } = stream;
    if (writer !== undefined && backpressure !== stream.backpressure) {
      if (backpressure) writer.ready = capability();
      else writer.ready.resolve(undefined);
    }
    stream.backpressure = backpressure;
  }

  const CLOSE = Symbol("close");
  function clearWritable(controller) {
    controller.write = controller.close = controller.abort = controller.size = undefined;
  }
  const writableDesired = (controller) => controller.mark - controller.total;
  function failWritable(controller, error) {
    clearWritable(controller);
    startErroring(controller.stream, error);
  }
  const failWritableIfNeeded = (controller, error) => {
    if (controller.stream.state === "writable") failWritable(controller, error);
  };
  function advance(controller) {
    const { stream } = controller;
    if (!controller.started || stream.inFlightWrite !== undefined) return;
    if (stream.state === "erroring") return finishErroring(stream);
    if (controller.queue.length === 0) return;
    const [{ value }] = controller.queue;
    if (value === CLOSE) processClose(controller);
    else processWrite(controller, value);
  }
  function processClose(controller) {
    const { stream } = controller;
    stream.inFlightClose = stream.closeRequest;
    stream.closeRequest = undefined;
    dequeue(controller);
    const done = controller.close();
    clearWritable(controller);
    upon(done, () => finishClose(stream), (error) => {
      stream.inFlightClose.reject(error);
      stream.inFlightClose = undefined;
      stream.pendingAbort?.reject(error);
      stream.pendingAbort = undefined;
      dealWithRejection(stream, error);
    });
  }
  function processWrite(controller, chunk) {
    const { stream } = controller;
    stream.inFlightWrite = stream.writes.shift();
    upon(controller.write(chunk, controller.face), () => {
      stream.inFlightWrite.resolve(undefined);
      stream.inFlightWrite = undefined;
      const { state } = stream;
      dequeue(controller);
      if (!closeQueuedOrInFlight(stream) && state === "writable")
        updateBackpressure(stream, writableDesired(controller) <= 0);
      advance(controller);
    }, (error) => {
      if (stream.state === "writable") clearWritable(controller);
      stream.inFlightWrite.reject(error);
      stream.inFlightWrite = undefined;
      dealWithRejection(stream, error);
    });
  }
  function writableController(stream, start, write, close, abort, mark, size) {
    const controller = faced(WritableStreamDefaultController, "writableController", {
      stream, write, close, abort, mark, size, started: false, signal: new AbortSignal(internal),
    });
    emptyQueue(controller);
    stream.controller = controller;
    updateBackpressure(stream, writableDesired(controller) <= 0);
    upon(resolved(start(controller.face)), () => {
      controller.started = true;
      advance(controller);
    }, (error) => {
      controller.started = true;
      dealWithRejection(stream, error);
    });
  }
  function createWritable(start, write, close, abort, mark = 1, size = one) {
    const stream = newWritable(undefined);
    faced(WritableStream, "writable", stream);
    writableController(stream, start, write, close, abort, mark, size);
    return stream;
  }

  function acquireWriter(stream, face) {
    if (stream.writer !== undefined) throw illegal("The stream is locked to a writer already");
    const writer = { stream, ready: undefined, closed: undefined };
    stream.writer = writer;
    const { state } = stream;
    writer.closed = state === "errored" ? failedAlready(stream.error)
      : state === "closed" ? settledAlready(undefined) : capability();
    if (state === "writable" && !closeQueuedOrInFlight(stream) && stream.backpressure) writer.ready = capability();
    else if (state === "erroring" || state === "errored") writer.ready = failedAlready(stream.error);
    else writer.ready = settledAlready(undefined);
    if (!face) return faced(WritableStreamDefaultWriter, "writer", writer);
    writer.face = face;
    return stamp(face, "writer", writer);
  }
  const failedInstead = (made, error) => { // rejects the promise, or returns a rejected one in place of a settled one
    if (!made.pending) return failedAlready(error);
    handled(made.promise);
    made.reject(error);
    return made;
  };
  function ensureReadyRejected(writer, error) { writer.ready = failedInstead(writer.ready, error); }
  function writeChunk(writer, chunk) {
    const { stream } = writer;
    const { controller } = stream;
    let size = 1;
    if (controller.size !== undefined) {
      try {
        size = controller.size(chunk);
      } catch (error) {
        failWritableIfNeeded(controller, error);
      }
    }
    if (stream !== writer.stream) return rejected(illegal("The writer was released"));
    if (stream.state === "errored") return rejected(stream.error);
    if (closeQueuedOrInFlight(stream) || stream.state === "closed")
      return rejected(illegal("The stream is closing or closed"));
    if (stream.state === "erroring") return rejected(stream.error);
    const write = capability();
    stream.writes.push(write);
    try {
      enqueueSized(controller, chunk, size);
    } catch (error) {
      failWritableIfNeeded(controller, error);
      return write.promise;
    }
    if (!closeQueuedOrInFlight(stream) && stream.state === "writable")
      updateBackpressure(stream, writableDesired(controller) <= 0);
    advance(controller);
    return write.promise;
  }
  function releaseWriter(writer) {
    const { stream } = writer;
    const error = illegal("The writer was released");
    ensureReadyRejected(writer, error);
    writer.closed = failedInstead(writer.closed, error);
    stream.writer = undefined;
    writer.stream = undefined;
  }
  function closePropagating(writer) {
    const { stream } = writer;
    if (closeQueuedOrInFlight(stream) || stream.state === "closed") return resolved(undefined);
    if (stream.state === "errored") return rejected(stream.error);
    return closeWritable(stream);
  }
  const ownedBy = (writer) => {
    if (writer.stream === undefined) throw illegal("The writer was released");
    return writer.stream;
  };

  class WritableStream {
    constructor(sink = undefined, strategy = {}) {
      if (sink !== undefined && !isObject(sink)) throw illegal("The underlying sink is not an object");
      const given = strategyOf(strategy);
      const { abort, close, start, type, write } = sink ?? {};
      const [aborting, closing, starting, writing] = [
        callback(sink, abort, "abort"), callback(sink, close, "close"), callback(sink, start, "start"),
        callback(sink, write, "write"),
      ];
      if (type !== undefined) throw new RangeError("A writable stream has no type");
      const done = () => resolved(undefined);
      const stream = stamp(this, "writable", newWritable(this));
      const size = given.size ?? one;
      const mark = markOf(given, 1);
      writableController(stream, starting ?? nothing, promised(writing) ?? done, promised(closing) ?? done,
        promised(aborting) ?? done, mark, size);
    }
    get locked() { return it(this, "writable").writer !== undefined; }
    abort(reason = undefined) {
      return promising(() => {
        const stream = it(this, "writable");
        if (stream.writer !== undefined) throw illegal("A locked stream cannot be aborted");
        return abortWritable(stream, reason);
      });
    }
    close() {
      return promising(() => {
        const stream = it(this, "writable");
        if (stream.writer !== undefined) throw illegal("A locked stream cannot be closed");
        if (closeQueuedOrInFlight(stream)) throw illegal("The stream is closing already");
        return closeWritable(stream);
      });
    }
    getWriter() { return acquireWriter(it(this, "writable")).face; }
  }

  class WritableStreamDefaultWriter {
    constructor(stream) { acquireWriter(it(stream, "writable"), this); }
    get closed() { return promising(() => it(this, "writer").closed.promise); }
    get desiredSize() {
      const stream = ownedBy(it(this, "writer"));
      if (stream.state === "errored" || stream.state === "erroring") return null;
      return stream.state === "closed" ? 0 : writableDesired(stream.controller);
    }
    get ready() { return promising(() => it(this, "writer").ready.promise); }
    abort(reason = undefined) { return promising(() => abortWritable(ownedBy(it(this, "writer")), reason)); }
    close() {
      return promising(() => {
        const stream = ownedBy(it(this, "writer"));
        if (closeQueuedOrInFlight(stream)) throw illegal("The stream is closing already");
        return closeWritable(stream);
      });
    }
    releaseLock() {
      const writer = it(this, "writer");
      if (writer.stream !== undefined) releaseWriter(writer);
    }
    write(chunk = undefined) {
      return promising(() => {
        const writer = it(this, "writer");
        ownedBy(writer);
        return writeChunk(writer, chunk);
      });
    }
  }

  class WritableStreamDefaultController {
    constructor() { throw illegal("Illegal constructor"); }
    get signal() { return it(this, "writableController").signal; }
    error(reason = undefined) { failWritableIfNeeded(it(this, "writableController"), reason); }
  }

  // Piping.

  function pipeOptions(given) {
    const { preventAbort, preventCancel, preventClose, signal } = dictionary(given);
    if (signal !== undefined && !(isObject(signal) && isAbortSignal(signal))) throw illegal("signal is no AbortSignal");
    return { preventAbort: !!preventAbort, preventCancel: !!preventCancel, preventClose: !!preventClose, signal };
  }
  function transformPair(transform) {
    if (!isObject(transform)) throw illegal("pipeThrough needs a readable and a writable");
    const readable = it(transform.readable, "readable"); // checked before `writable` is read
    return { readable, writable: it(transform.writable, "writable") };
  }
  function pipe(source, target, { preventAbort, preventCancel, preventClose, signal }) {
    const reader = acquireReader(source, false);
    const writer = acquireWriter(target);
    source.disturbed = true;
    const result = capability();
    let shuttingDown = false;
    let lastWrite = resolved(undefined);
    let stopListening = nothing;

    const finish = (failed, error) => {
      releaseWriter(writer);
      releaseReader(reader);
      stopListening();
      if (failed) result.reject(error);
      else result.resolve(undefined);
    };
    const written = () => { // a promise that is fulfilled when all writes made so far have ended
      const awaited = lastWrite;
      return upon(awaited, () => (awaited === lastWrite ? undefined : written()));
    };
    const whenWritten = (steps) => {
      if (target.state === "writable" && !closeQueuedOrInFlight(target)) upon(written(), steps, steps);
      else steps();
    };
    const shutDownAfter = (action, failed, error) => {
      if (shuttingDown) return;
      shuttingDown = true;
      whenWritten(() => upon(action(), () => finish(failed, error), (other) => finish(true, other)));
    };
    const shutDown = (failed, error) => {
      if (shuttingDown) return;
      shuttingDown = true;
      whenWritten(() => finish(failed, error));
    };
    if (signal !== undefined) {
      const aborted = () => {
        const error = signal.reason;
        const actions = [];
        if (!preventAbort)
          actions.push(() => (target.state === "writable" ? abortWritable(target, error) : resolved(undefined)));
        if (!preventCancel)
          actions.push(() => (source.state === "readable" ? cancelReadable(source, error) : resolved(undefined)));
        shutDownAfter(() => Promise.all(actions.map((action) => action())), true, error);
      };
      if (signal.aborted) {
        aborted();
        return result.promise;
      }
      stopListening = onAbort(signal, aborted);
    }
    const whenFailed = (stream, promise, steps) => {
      if (stream.state === "errored") steps(stream.error);
      else upon(promise, undefined, steps);
    };
    const step = () => {
      if (shuttingDown) return resolved(true);
      return upon(writer.ready.promise, () => new Promise((resolve, reject) => {
        read(reader, {
          chunk: (chunk) => {
            lastWrite = upon(writeChunk(writer, chunk), undefined, nothing);
            resolve(false);
          },
          close: () => resolve(true),
          fail: reject,
        });
      }));
    };
    const loop = () => new Promise((resolve, reject) => {
      const next = (done) => {
        if (done) resolve(undefined);
        else upon(step(), next, reject);
      };
      next(false);
    });
    whenFailed(source, reader.closed.promise, (error) => {
      if (preventAbort) shutDown(true, error);
      else shutDownAfter(() => abortWritable(target, error), true, error);
    });
    whenFailed(target, writer.closed.promise, (error) => {
      if (preventCancel) shutDown(true, error);
      else shutDownAfter(() => cancelReadable(source, error), true, error);
    });
    const closed = () => {
      if (preventClose) shutDown();
      else shutDownAfter(() => closePropagating(writer));
    };
    if (source.state === "closed") closed();
    else upon(reader.closed.promise, closed, nothing);
    if (closeQueuedOrInFlight(target) || target.state === "closed") {
      const error = illegal("The stream to pipe into is closed");
      if (preventCancel) shutDown(true, error);
      else shutDownAfter(() => cancelReadable(source, error), true, error);
    }
    handled(loop());
    return result.promise;
  }

  // Transform streams.

  function setBackpressure(stream, backpressure) {
    stream.change?.resolve(undefined);
    stream.change = capability();
    stream.backpressure = backpressure;
  }
  function failTransform(stream, error) {
    failController(stream.readable.controller, error);
    failTransformWritable(stream, error);
  }
  function failTransformWritable(stream, error) {
    clearTransform(stream.controller);
    failWritableIfNeeded(stream.writable.controller, error);
    if (stream.backpressure) setBackpressure(stream, false);
  }
  function clearTransform(controller) { controller.transform = controller.flush = controller.cancel = undefined; }
  function enqueueTransformed(controller, chunk) {
    const { stream } = controller;
    const readable = stream.readable.controller;
    if (!canCloseOrEnqueue(readable)) throw illegal("The readable side takes no more chunks");
    try {
      enqueueDefault(readable, chunk);
    } catch (error) {
      failTransformWritable(stream, error);
      throw stream.readable.error;
    }
    if (!shouldPull(readable) !== stream.backpressure) setBackpressure(stream, true);
  }
  const transformed = (controller, chunk) =>
    upon(controller.transform(chunk, controller.face), undefined, (error) => {
      failTransform(controller.stream, error);
      throw error;
    });
  function writeTransform(stream, chunk) {
    const { controller, writable } = stream;
    if (!stream.backpressure) return transformed(controller, chunk);
    return upon(stream.change.promise, () => {
      if (writable.state === "erroring") throw writable.error;
      return transformed(controller, chunk);
    });
  }
  function finishTransform(stream, steps, settle) { // flush or cancel, once
    const { controller } = stream;
    if (controller.finish !== undefined) return controller.finish.promise;
    controller.finish = capability();
    const done = steps(controller);
    clearTransform(controller);
    upon(done, () => settle(controller.finish), (error) => {
      failController(stream.readable.controller, error);
      failWritableIfNeeded(stream.writable.controller, error);
      if (stream.backpressure) setBackpressure(stream, false);
      controller.finish.reject(error);
    });
    return controller.finish.promise;
  }
  const abortTransform = (stream, reason) =>
    finishTransform(stream, (controller) => controller.cancel(reason), (end) => {
      const { readable } = stream;
      if (readable.state === "errored") return end.reject(readable.error);
      failController(readable.controller, reason);
      end.resolve(undefined);
    });
  const closeTransform = (stream) =>
    finishTransform(stream, (controller) => controller.flush(controller.face), (end) => {
      const { readable } = stream;
      if (readable.state === "errored") return end.reject(readable.error);
      closeDefault(readable.controller);
      end.resolve(undefined);
    });
  const cancelTransform = (stream, reason) =>
    finishTransform(stream, (controller) => controller.cancel(reason), (end) => {
      const { writable } = stream;
      if (writable.state === "errored") return end.reject(writable.error);
      failWritableIfNeeded(writable.controller, reason);
      if (stream.backpressure) setBackpressure(stream, false);
      end.resolve(undefined);
    });
  function setUpTransform(stream, begun, { transform, flush, cancel }, writable = {}, readable = {}) {
    stream.controller = faced(TransformStreamDefaultController, "transformController",
      { stream, transform, flush, cancel, finish: undefined });
    const start = () => begun.promise;
    stream.writable = createWritable(start, (chunk) => writeTransform(stream, chunk), () => closeTransform(stream),
      (reason) => abortTransform(stream, reason), writable.mark, writable.size);
    const pull = () => {
      setBackpressure(stream, false);
      return stream.change.promise;
    };
    stream.readable = createReadable(start, pull, (reason) => cancelTransform(stream, reason), readable.mark ?? 0,
      readable.size);
    setBackpressure(stream, true);
  }

  class TransformStream {
    constructor(transformer = undefined, writableStrategy = {}, readableStrategy = {}) {
      if (transformer !== undefined && !isObject(transformer)) throw illegal("The transformer is not an object");
      const [writing, reading] = [strategyOf(writableStrategy), strategyOf(readableStrategy)];
      const { cancel, flush, readableType, start, transform, writableType } = transformer ?? {};
      const done = () => resolved(undefined);
      const canceling = promised(callback(transformer, cancel, "cancel")) ?? done;
      const flushing = promised(callback(transformer, flush, "flush")) ?? done;
      const starting = callback(transformer, start, "start") ?? nothing;
      const changing = promised(callback(transformer, transform, "transform")) ??
        promised((chunk) => enqueueTransformed(stream.controller, chunk));
      if (readableType !== undefined) throw new RangeError("readableType is given");
      if (writableType !== undefined) throw new RangeError("writableType is given");
      const readable = { mark: markOf(reading, 0), size: reading.size };
      const writable = { mark: markOf(writing, 1), size: writing.size };
      const stream = stamp(this, "transform", {});
      const begun = capability();
      setUpTransform(stream, begun, { transform: changing, flush: flushing, cancel: canceling }, writable, readable);
      begun.resolve(starting(stream.controller.face));
    }
    get readable() { return it(this, "transform").readable.face; }
    get writable() { return it(this, "transform").writable.face; }
  }

  class TransformStreamDefaultController {
    constructor() { throw illegal("Illegal constructor"); }
    get desiredSize() { return desiredSize(it(this, "transformController").stream.readable.controller); }
    enqueue(chunk = undefined) { enqueueTransformed(it(this, "transformController"), chunk); }
    error(reason = undefined) { failTransform(it(this, "transformController").stream, reason); }
    terminate() {
      const { stream } = it(this, "transformController");
      closeDefault(stream.readable.controller);
      failTransformWritable(stream, illegal("The stream was terminated"));
    }
  }

  // Returns the pair of streams of a transformation for other classes. Its steps get the function that enqueues a
  // chunk.
  function transforming(transform, flush, cancel = nothing) {
    const stream = {};
    const begun = settledAlready(undefined);
    const enqueue = (chunk) => enqueueTransformed(stream.controller, chunk);
    setUpTransform(stream, begun, {
      transform: promised((chunk) => transform(chunk, enqueue)),
      flush: promised(() => flush(enqueue)),
      cancel: promised(cancel),
    });
    return { readable: stream.readable.face, writable: stream.writable.face };
  }

  // Strategies.

  const sizeOfChunk = { size(chunk) { return chunk.byteLength; } }.size;
  const sizeOne = { size() { return 1; } }.size;
  function strategyMark(init, count) {
    if (count === 0) throw illegal("A strategy needs its highWaterMark");
    const { highWaterMark } = dictionary(init);
    if (highWaterMark === undefined) throw illegal("A strategy needs its highWaterMark");
    return +highWaterMark;
  }

  class ByteLengthQueuingStrategy {
    constructor(init) { stamp(this, "byteStrategy", { mark: strategyMark(init, arguments.length) }); }
    get highWaterMark() { return it(this, "byteStrategy").mark; }
    get size() { it(this, "byteStrategy"); return sizeOfChunk; }
  }
  class CountQueuingStrategy {
    constructor(init) { stamp(this, "countStrategy", { mark: strategyMark(init, arguments.length) }); }
    get highWaterMark() { return it(this, "countStrategy").mark; }
    get size() { it(this, "countStrategy"); return sizeOne; }
  }

  // Functions for bodies.

  const isReadableStream = (value) => isStamped(value, "readable");
  const isDisturbed = (face) => it(face, "readable").disturbed;
  const isLocked = (face) => readableLocked(it(face, "readable"));
  const teedStream = (face) => tee(it(face, "readable"), true).map((branch) => branch.face);

  // Returns a stream of the bytes that `take` returns. `take` is called when the stream is first read.
  function byteStream(take) {
    const stream = createBytes(nothing, () => promising(() => {
      const bytes = take();
      const { controller } = stream;
      if (bytes.length > 0) enqueueChunk(controller, bytes);
      closeBytes(controller);
      if (isByob(controller)) respondCount(controller, 0);
      return resolved(undefined);
    }), () => resolved(undefined));
    return stream.face;
  }

  // Locks a stream, and returns a promise of an object with all its bytes. It is no promise of the bytes themselves,
  // because code may have given them a `then`. A chunk that is no Uint8Array, or more than `most` bytes in all, rejects
  // the promise with a TypeError.
  function bytesOfStream(face, most = Infinity) {
    const reader = acquireReader(it(face, "readable"), false);
    const { promise, resolve, reject } = capability();
    const chunks = [];
    let total = 0;
    const joined = () => {
      if (chunks.length === 1) return chunks[0].slice();
      const bytes = new Uint8Array(total);
      let at = 0;
      for (const chunk of chunks) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      return bytes;
    };
    const next = () => read(reader, {
      chunk: (chunk) => {
        const isBytes = typeName(chunk) === "Uint8Array";
        if (!isBytes || total + chunk.length > most) {
          const error = illegal(isBytes ? `A body is larger than ${most} bytes` : "A chunk of a body is no Uint8Array");
          reject(error);
          handled(cancelReadable(reader.stream, error));
          return;
        }
        chunks.push(chunk);
        total += chunk.length;
        queueTask(next); // without this, a long queue would make a deep stack
      },
      close: () => promising(() => resolve({ __proto__: null, bytes: joined() })),
      fail: reject,
    });
    next();
    return promise;
  }

  return {
    ReadableStream, ReadableStreamDefaultReader, ReadableStreamBYOBReader, ReadableStreamDefaultController,
    ReadableByteStreamController, ReadableStreamBYOBRequest, WritableStream, WritableStreamDefaultWriter,
    WritableStreamDefaultController, TransformStream, TransformStreamDefaultController, ByteLengthQueuingStrategy,
    CountQueuingStrategy, byteStream, isReadableStream, isDisturbed, isLocked, bytesOfStream, teedStream, transforming,
  };
})();
