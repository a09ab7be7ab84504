// Which tickets the list shows: by status, by whose they are, by what they are about.

import { $ } from "./dom.js";

const TYPING_PAUSE_MS = 300;

export class Filters {
  constructor(live, onChange) {
    this.live = live;
    this.q = "";
    $("status").onchange = $("whose").onchange = onChange;
    $("search").oninput = () => {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => {
        const q = $("search").value.trim();
        if (q === this.q) return;
        this.q = q;
        onChange();
      }, TYPING_PAUSE_MS);
    };
  }

  close() {
    clearTimeout(this.timer);
    $("search").value = "";
  }

  // As parameters of `tickets.list`; "mine" needs a connection, which says who we are.
  get params() {
    return {
      status: $("status").value || null,
      assignee: $("whose").value === "mine" ? this.live.user : null,
      q: this.q || null,
    };
  }

  // What the daemon's words alone decide: whether a text is found somewhere, only it can tell.
  admit({ status, assignee, merged_into }) {
    const wanted = this.params;
    if (merged_into !== null) return false;
    return (!wanted.status || status === wanted.status) && (!wanted.assignee || assignee === wanted.assignee);
  }
}
