// Words that the editor offers behind "job." and "core.".
const members = {
  job: ["OK", "SLEEP", "STOP", "EXIT", "run", "day", "hour", "minute", "month", "year"],
  core: ["job", "log", "sf", "trim", "split", "uuid", "md5", "sleep", "json", "json_safe", "NULL"],
};

export function complete(context) {
  const word = context.matchBefore(/\b(?:job|core)\.\w*/);
  if (!word) {
    return null;
  }
  const [table] = word.text.split(".");
  return { from: word.from + table.length + 1, options: members[table].map((label) => ({ label, type: "property" })), validFor: /^\w*$/ };
}
