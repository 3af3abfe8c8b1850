// The entries.

function report(error, kind = "js_error") {
  let [name, message, stack] = ["Error", "", ""];
  try {
    if (isObject(error)) {
      name = cut(error.name ?? "Error");
      stack = cut(error.stack ?? "");
      message = cut(error.message ?? stringify(error));
    } else message = cut(error);
  } catch {
    message = "What was thrown cannot be read.";
  }
  fail(kind, name, message, stack);
}

const evaluate = eval;

function compiled(text) {
  const code = wellFormed(text);
  const run = new AsyncFunction(code);
  // The engine only pastes the code between the brackets of a function. Code that closes them has run by now, with
  // nothing in reach that it would not have had anyway; it does not become a poll.
  if (typeof run !== "function" || apply(sourceOf, run, []) !== `async function anonymous(\n) {\n${code}\n}`)
    throw closedEarly(code);
  return run;
}
function closedEarly(code) {
  const error = new SyntaxError("The code closes a bracket that it did not open");
  try {
    evaluate(`\n[async () => {\n${code}\n}]`); // here that is wrong at once, on the same line
  } catch (found) {
    if (found instanceof SyntaxError) error.stack = found.stack;
  }
  return error;
}

function finish(value) {
  try {
    const text = isArray(value) ? stringify(value) : undefined;
    if (text === undefined) fail("not_an_array", "TypeError", "The code must return an array of events.", "");
    if (value.length > limits.results) fail("too_many_results", "RangeError", "", "");
    done(text);
  } catch (error) {
    report(error);
  }
}

function start(text) {
  const job = parse(text);
  const { inputs, secrets, lastPollTime } = job;
  let run;
  try {
    run = compiled(job.code);
  } catch (error) {
    report(error, "syntax_error");
  }
  limits = job.limits;
  linesLeft = limits.lines;
  timeOrigin = now() - 1; // it began before its code, so that no time since is 0
  define({ inputs, secrets, lastPollTime, data: { input: inputs, auth: secrets } });
  apply(then, run(), [finish, report]);
}

function check(text) {
  try {
    compiled(parse(text));
  } catch (error) {
    report(error, "syntax_error");
  }
  done("[]");
}

return { start, check, respond, runTimers };
