// Something that is read again and again while somebody looks, and how fresh it is.

export class Poll {
  // `work` reads and shows it; what it throws makes it stale. `onChange` is called after each try.
  constructor(work, everyMs, onChange) {
    this.work = work;
    this.everyMs = everyMs;
    this.onChange = onChange;
    this.at = null; // when it was read last
    this.problem = null; // why it could not be since
    this.onVisible = () => { if (!document.hidden) this.now(); };
  }

  start() {
    if (!this.isOn) document.addEventListener("visibilitychange", this.onVisible);
    this.isOn = true;
    this.now();
  }

  stop() {
    this.isOn = false;
    clearTimeout(this.timer);
    document.removeEventListener("visibilitychange", this.onVisible);
  }

  // Reads at once. One at a time: what is asked for meanwhile is read afterwards.
  async now() {
    clearTimeout(this.timer);
    this.isWanted = true;
    if (this.isReading) return;
    this.isReading = true;
    while (this.isWanted) {
      this.isWanted = false;
      try {
        await this.work();
        Object.assign(this, { at: Date.now(), problem: null });
      } catch (problem) {
        this.problem = problem;
      }
      this.onChange();
    }
    this.isReading = false;
    if (this.isOn) this.timer = setTimeout(() => { if (!document.hidden) this.now(); }, this.everyMs);
  }
}
