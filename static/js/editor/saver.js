// Saves the script in the background, says how that went, and guards what is unsaved.
export class Saver {
  constructor(form, currentText) {
    this.form = form;
    this.currentText = currentText;
    this.state = form.querySelector("#editor-state");
    this.changed = false;
    window.addEventListener("beforeunload", (event) => {
      if (this.changed) {
        event.preventDefault();
      }
    });
  }

  noteChange() {
    if (!this.changed) {
      this.changed = true;
      this.state.textContent = this.state.dataset.unsaved;
    }
  }

  async save() {
    if (this.saving) {
      return;
    }
    this.saving = true;
    this.state.textContent = this.state.dataset.saving;
    const sent = this.currentText();
    try {
      const answer = await fetch(this.form.action, { method: "POST", body: new FormData(this.form), headers: { Accept: "application/json" } });
      await this.take(answer, sent);
    } catch {
      this.state.textContent = this.state.dataset.offline;
    } finally {
      this.saving = false;
    }
  }

  async take(answer, sent) {
    if (answer.status === 409) {
      // The plain form's answer shows both texts, and keeps this one.
      this.changed = false;
      this.form.submit();
      return;
    }
    const { message, revision } = await answer.json();
    this.state.textContent = message;
    if (answer.ok) {
      this.form.elements.revision.value = revision;
      this.changed = this.currentText() !== sent;
    }
  }
}
