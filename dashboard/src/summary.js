// One line that says what a payload is about.
const SHOWN = 4;

function word(value) {
  return value !== null && typeof value === "object" ? "…" : String(value);
}

// Gives the first fields of an object as "name value · name value"; anything else as it is.
export function fields(value) {
  if (value === null || typeof value !== "object") return String(value ?? "");
  return Object.entries(value).slice(0, SHOWN).map(([name, each]) => `${name} ${word(each)}`).join(" · ");
}

// Gives what an update set to something else, after the row's first column; other payloads by their first fields.
export function changed(payload) {
  const { record, old_record: old } = payload;
  if (!record || !old) return fields(record ?? old ?? payload.payload ?? payload);
  const [first, ...rest] = Object.keys(record);
  const steps = rest
    .filter((name) => !name.endsWith("_at") && JSON.stringify(record[name]) !== JSON.stringify(old[name]))
    .map((name) => `${name} ${word(old[name])} → ${word(record[name])}`);
  return [`${first} ${word(record[first])}`, ...(steps.length ? steps : ["nothing else changed"])].join(" · ");
}
