// js-libp2p asks for Node.js 22. This is all that it uses and that older ones lack, down to the 18 of Debian 12.

import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto

globalThis.CustomEvent ??= class CustomEvent extends Event {
  constructor (type, options = {}) {
    super(type, options)
    this.detail = options.detail ?? null
  }
}

Promise.withResolvers ??= function () {
  let resolve, reject
  const promise = new this((yes, no) => { resolve = yes; reject = no })
  return { promise, resolve, reject }
}
