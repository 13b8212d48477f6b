// Shows a <time> in the reader's zone, or as a distance that stays current.
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });
const distance = new Intl.RelativeTimeFormat(undefined, { numeric: "auto", style: "short" });
const steps = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

export function relative(seconds) {
  const [unit, size] = steps.find(([, length]) => Math.abs(seconds) >= length) ?? steps[3];
  return distance.format(Math.trunc(seconds / size), unit);
}

function show(element) {
  const moment = new Date(element.dateTime);
  let text = full.format(moment);
  if (element.dataset.style === "clock") {
    text = clock.format(moment);
  } else if (element.dataset.style === "relative") {
    text = relative((moment - Date.now()) / 1000);
  } else if (element.dataset.style === "due") {
    text = moment > Date.now() ? relative((moment - Date.now()) / 1000) : element.dataset.past;
  }
  // Unchanged text is left alone, so that a selection in it survives.
  if (element.textContent !== text) {
    element.textContent = text;
  }
}

setInterval(() => {
  if (!document.hidden) {
    document.querySelectorAll('time[data-style="relative"], time[data-style="due"]').forEach(show);
  }
}, 1000);

export function start(element) {
  const utc = element.title;
  element.title = `${full.format(new Date(element.dateTime))} (${utc})`;
  show(element);
}
