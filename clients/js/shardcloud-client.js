// A WebSocket that outlives its connection: when a router goes or the network breaks, it goes on at the next address, and nothing is lost,
// repeated or reordered. Browsers and Node 22 or later; no dependencies. Protocol: docs/protocol/sockets.md, "Resume token".
//
//   const socket = new ResumingSocket(['wss://eu.example.org/rooms/1/chat', 'wss://us.example.org/rooms/1/chat']);
//   socket.onmessage = data => console.log(data);      // string, or Uint8Array for a binary message
//   socket.onclose = ({ code, reason }) => {};          // once, for good; 1006: lost for good, 1001: the server no longer knows it
//   await socket.opened;                                // rejects when no address took it
//   await socket.send('hello');                         // waits while too many messages are unconfirmed; kept until the server has it
//   socket.close(1000, 'bye');
//
// It works where the server keeps the connection with its endpoint's state; where it does not, `isResumable` is false and the socket ends with its connection.

const NAME = 'shardcloud.resume.v1';
const GOES_ON = new Set([1006, 1012, 1013]);

export class ResumingSocket {
  /** Highest number of messages from the server that are handed over before they are confirmed. */
  static CONFIRM_EVERY = 32;

  #addresses; #protocols; #options; #socket = null; #token = null; #next = 0;
  #lastIn = 0; #lastReceived = 0; #lastConfirmed = 0; #confirming = false;
  #unconfirmed = []; #waiting = []; #closing = null; #lostAt = null; #pause = 0; #greeted = false; #opened; #timer = null;

  isResumable = false;
  isClosed = false;
  /** Subprotocol that the application chose; '' for none. */
  protocol = '';
  /** Connections so far. */
  connections = 0;
  onmessage = () => {};
  onclose = () => {};

  /**
   * @param {string | string[]} addresses of the same endpoint at one or more routers
   * @param {object} [options] protocols: the application's; unconfirmedMax (256); firstPause (100 ms); longestPause (5,000 ms);
   *   resumeWithin (120,000 ms): how long a lost connection is tried to be resumed; webSocket: another class than the global one
   */
  constructor(addresses, options = {}) {
    this.#addresses = [addresses].flat();
    this.#protocols = [options.protocols ?? []].flat();
    this.#options = { unconfirmedMax: 256, firstPause: 100, longestPause: 5000, resumeWithin: 120000, webSocket: globalThis.WebSocket, ...options };
    this.opened = new Promise((resolve, reject) => { this.#opened = { resolve, reject }; });
    this.opened.catch(() => {}); // Who does not look at it hears of it in onclose.
    this.#lostAt = Date.now();
    this.#pause = this.#options.firstPause;
    this.#connect();
  }

  /** Sends a string, ArrayBuffer or typed array. The promise resolves when the message is kept; it rejects when the socket has ended. */
  async send(data) {
    while (!this.isClosed && (!this.#greeted || this.#unconfirmed.length >= this.#options.unconfirmedMax)) await new Promise(resolve => this.#waiting.push(resolve));
    if (this.isClosed || this.#closing) throw new Error('The socket has ended.');
    if (!this.isResumable) return this.#socket.send(data);
    const number = ++this.#lastIn;
    const message = typeof data === 'string' ? `${number} ${data}` : numbered(number, data);
    this.#unconfirmed.push({ number, message });
    this.#write(message);
  }

  /** Ends it; `onclose` follows. */
  close(code = 1000, reason = '') {
    this.#closing = { code, reason };
    if (this.#socket?.readyState === 1) this.#socket.close(code, reason);
    else if (!this.#greeted) this.#end(code, reason);
  }

  #connect() {
    this.#timer = null;
    const address = this.#addresses[this.#next++ % this.#addresses.length];
    const offered = [NAME, ...(this.#token ? [`shardcloud.at.${this.#token}.${this.#lastReceived}`] : []), ...this.#protocols];
    const socket = new this.#options.webSocket(address, offered);
    socket.binaryType = 'arraybuffer';
    let isGreeted = false;
    socket.onopen = () => {
      if (socket.protocol === NAME) return;
      if (this.isResumable) return socket.close(1000); // Another version of the server: it cannot go on there.
      this.protocol = socket.protocol;
      isGreeted = true;
      this.#begin(socket);
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket && isGreeted) return;
      if (isGreeted) return this.isResumable ? this.#received(data) : this.onmessage(typeof data === 'string' ? data : new Uint8Array(data));
      const [kind, token, lastIn, protocol] = String(data).split(' ');
      if (kind !== 't') return socket.close(1002);
      isGreeted = true;
      this.#token = token;
      this.protocol = protocol === '-' ? '' : protocol;
      this.isResumable = true;
      this.#confirmed(Number(lastIn));
      this.#begin(socket);
    };
    socket.onerror = () => {}; // onclose says what matters.
    socket.onclose = ({ code, reason }) => {
      if (this.isClosed || (this.#socket !== socket && this.#socket?.readyState === 1)) return;
      const isOver = this.#closing || (isGreeted && !(this.isResumable && GOES_ON.has(code))) || (code === 1000 && !isGreeted);
      if (isOver) return this.#end(this.#closing && code === 1006 ? this.#closing.code : code, reason);
      this.#again();
    };
  }

  #begin(socket) {
    this.#socket = socket;
    this.#greeted = true;
    this.#lostAt = null;
    this.#pause = this.#options.firstPause;
    this.connections++;
    for (const { message } of this.#unconfirmed) socket.send(message);
    if (this.#closing) socket.close(this.#closing.code, this.#closing.reason);
    this.#opened.resolve();
    this.#wake();
  }

  /** A browser does not say why it could not connect, so a refusal is tried again like a loss. */
  #again() {
    this.#lostAt ??= Date.now();
    if (Date.now() - this.#lostAt >= this.#options.resumeWithin) return this.#end(1006, 'no router could be reached');
    const isRound = this.#next % this.#addresses.length === 0;
    const pause = isRound ? this.#pause * (0.5 + Math.random()) : 0;
    if (isRound) this.#pause = Math.min(this.#pause * 2, this.#options.longestPause);
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  #received(data) {
    if (typeof data === 'string' && data.startsWith('a ')) return this.#confirmed(Number(data.slice(2)));
    let number, payload;
    if (typeof data === 'string') {
      const space = data.indexOf(' ');
      [number, payload] = [Number(data.slice(0, space)), data.slice(space + 1)];
    } else {
      [number, payload] = [Number(new DataView(data).getBigInt64(0)), new Uint8Array(data, 8)];
    }
    if (number <= this.#lastReceived) return; // Sent again: had.
    this.#lastReceived = number;
    this.onmessage(payload);
    if (number - this.#lastConfirmed >= ResumingSocket.CONFIRM_EVERY) return this.#confirm();
    if (this.#confirming) return;
    this.#confirming = true; // What comes in one turn is confirmed at once.
    setTimeout(() => { this.#confirming = false; this.#confirm(); }, 0);
  }

  #confirm() {
    if (this.#lastReceived <= this.#lastConfirmed) return;
    this.#lastConfirmed = this.#lastReceived;
    this.#write(`a ${this.#lastConfirmed}`);
  }

  #confirmed(number) {
    const kept = this.#unconfirmed.findIndex(({ number: other }) => other > number);
    this.#unconfirmed.splice(0, kept < 0 ? this.#unconfirmed.length : kept);
    this.#wake();
  }

  #write(message) {
    if (this.#socket?.readyState === 1) this.#socket.send(message);
  }

  #wake() {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  #end(code, reason) {
    if (this.isClosed) return;
    this.isClosed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#opened.reject(new Error(`The socket could not be opened: ${code} ${reason}`));
    this.#wake();
    this.onclose({ code, reason });
  }
}

function numbered(number, data) {
  const payload = ArrayBuffer.isView(data) ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength) : new Uint8Array(data);
  const message = new Uint8Array(8 + payload.length);
  new DataView(message.buffer).setBigInt64(0, BigInt(number));
  message.set(payload, 8);
  return message;
}
