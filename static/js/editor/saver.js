// Saves the script in the background, says how that went, and guards what is unsaved.
const SIGNED_OUT = [400, 401];

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
      let answer = await this.send();
      if (SIGNED_OUT.includes(answer.status) && (await this.renewToken())) {
        answer = await this.send();
      }
      await this.take(answer, sent);
    } catch {
      this.state.textContent = this.state.dataset.offline;
    } finally {
      this.saving = false;
    }
  }

  send() {
    return fetch(this.form.action, { method: "POST", body: new FormData(this.form), headers: { Accept: "application/json" } });
  }

  // The token belongs to a session: after a new login in another tab this page needs the new one.
  async renewToken() {
    const answer = await fetch(location.pathname);
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const token = page.querySelector("#editor [name=csrf_token]");
    if (token) {
      this.form.elements.csrf_token.value = token.value;
    }
    return Boolean(token);
  }

  async take(answer, sent) {
    if (answer.status === 409) {
      // The plain form's answer shows both texts, and keeps this one.
      this.changed = false;
      this.form.submit();
      return;
    }
    if (SIGNED_OUT.includes(answer.status)) {
      this.state.textContent = this.state.dataset.signedOut;
      return;
    }
    const { message, revision } = await answer.json();
    this.state.textContent = message;
    if (answer.ok) {
      this.form.elements.revision.value = revision;
      this.changed = this.currentText() !== sent;
      if (this.changed) {
        this.state.textContent = `${message} ${this.state.dataset.typedSince}`;
      }
    }
  }
}
