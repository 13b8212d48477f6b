// The code editor: CodeMirror in place of the text area, which stays the form's field.
import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, indentOnInput, indentUnit, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { lua } from "@codemirror/legacy-modes/mode/lua";
import { lintGutter, linter, lintKeymap } from "@codemirror/lint";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { EditorState, StateField } from "@codemirror/state";
import { Decoration, drawSelection, EditorView, highlightActiveLine, highlightActiveLineGutter, keymap, lineNumbers } from "@codemirror/view";

import { complete } from "./editor/completions.js";
import { colours, look } from "./editor/look.js";
import { problemsOf } from "./editor/problems.js";
import { Saver } from "./editor/saver.js";

const CHECK_AFTER_MS = 600;

function markLine(state, number) {
  const line = state.doc.line(Math.min(number, state.doc.lines));
  // A field, so that the mark moves with its line, and goes with it.
  return StateField.define({
    create: () => Decoration.set([Decoration.line({ class: "cm-wanted-line" }).range(line.from)]),
    update: (marks, transaction) => marks.map(transaction.changes),
    provide: (field) => EditorView.decorations.from(field),
  });
}

export function start(form, source, nonce) {
  const editable = form.dataset.editable === "yes";
  const wanted = Number(form.dataset.line);
  const saver = new Saver(form, () => view.state.doc.toString());
  const plain = EditorState.create({ doc: source.value });

  const view = new EditorView({
    doc: source.value,
    extensions: [
      EditorView.cspNonce.of(nonce),
      EditorView.contentAttributes.of({ "aria-label": source.labels[0].textContent }),
      EditorState.readOnly.of(!editable),
      lineNumbers(), highlightActiveLineGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(),
      closeBrackets(), autocompletion({ override: [complete] }), highlightActiveLine(), highlightSelectionMatches(),
      indentUnit.of("  "), StreamLanguage.define(lua), syntaxHighlighting(colours), look,
      editable ? [lintGutter(), linter((editor) => problemsOf(form, editor), { delay: CHECK_AFTER_MS })] : [],
      wanted ? markLine(plain, wanted) : [],
      EditorView.updateListener.of((update) => update.docChanged && saver.noteChange()),
      keymap.of([
        { key: "Mod-s", preventDefault: true, run: () => (editable && saver.save(), true) },
        ...closeBracketsKeymap, ...defaultKeymap, ...searchKeymap, ...historyKeymap, ...completionKeymap, ...lintKeymap, indentWithTab,
      ]),
    ],
  });

  if (form.dataset.changed === "yes") {
    saver.noteChange();
  }
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s" && editable && !event.defaultPrevented) {
      event.preventDefault();
      saver.save();
    }
  });
  source.before(view.dom);
  source.hidden = true;
  form.addEventListener("formdata", (event) => event.formData.set("source", view.state.doc.toString()));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    saver.save();
  });
  if (wanted) {
    const line = view.state.doc.line(Math.min(wanted, view.state.doc.lines));
    view.dispatch({ selection: { anchor: line.from }, effects: EditorView.scrollIntoView(line.from, { y: "center" }) });
    view.focus();
  }
}
