// The picture that links an instance to a phone, renewed while somebody looks at it.

import { $, isolated } from "./dom.js";
import { clock, texts } from "./texts.js";

const PICTURE = /^data:image\/png;base64,/;

export class QrCode {
  constructor() {
    this.instance = null;
    $("qrcode").onclose = () => { this.instance = null; };
  }

  open(instance) {
    this.update(instance);
    $("qrcode").showModal();
  }

  // `instance` is the one that is shown: its next code came, or none is needed any more.
  update(instance) {
    this.instance = instance;
    const { name, qrcode } = instance;
    const image = PICTURE.test(qrcode?.image) ? qrcode.image : "";
    $("qrcode-title").textContent = texts.qrcodeFor(isolated(name));
    $("qrcode-image").hidden = !image;
    if (image) $("qrcode-image").src = image;
    $("qrcode-image").alt = texts.qrcode;
    $("qrcode-pairing").textContent = qrcode?.pairing_code ? texts.pairingCode(qrcode.pairing_code) : "";
    $("qrcode-age").textContent = qrcode ? texts.qrcodeAt(clock(qrcode.at)) : texts.qrcodeOver;
  }

  close() { $("qrcode").close(); }
}
