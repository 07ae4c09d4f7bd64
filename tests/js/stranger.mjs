// A stranger at the door: js-libp2p, an implementation of libp2p that shares no code with the programs it knocks at.
//
//   node stranger.mjs TARGET THROUGH PROTOCOL...
//
// Dials TARGET (a multiaddr with a peer id), looks around, tries every PROTOCOL, tries to use TARGET as a relay for itself and
// on the way to the peer id THROUGH. Prints one JSON document that says what happened; judges nothing. Exit status 1: it
// could not even knock.

import './compat.mjs'
import { circuitRelayTransport } from '@libp2p/circuit-relay-v2'
import { identify } from '@libp2p/identify'
import { noise } from '@libp2p/noise'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'

const HOP = '/libp2p/circuit/relay/0.2.0/hop'
const STOP = '/libp2p/circuit/relay/0.2.0/stop'
// HopMessage { type: RESERVE }, with its length before it.
const RESERVE = Uint8Array.of(2, 0x08, 0x00)
// Longer than any program may leave a stranger connected.
const PATIENCE = 8000

const [target, through, ...protocols] = process.argv.slice(2)

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms))
const within = (promise, ms = PATIENCE) =>
  Promise.race([promise, pause(ms).then(() => { throw new Error('nothing happened') })])
const said = (error) => `${error.name}: ${error.message.split('\n')[0]}`

/** A fresh stranger with a key of its own; nothing runs in it by itself. */
async function stranger (listen = []) {
  return createLibp2p({
    addresses: { listen },
    transports: [tcp(), circuitRelayTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify({ runOnConnectionOpen: false }), ping: ping() },
    connectionMonitor: { enabled: false }
  })
}

/** Runs `visit` with a new stranger's connection to the target. A busy door is tried again. */
async function knock (visit) {
  const node = await stranger()
  try {
    for (let tries = 0; ; tries++) {
      try {
        const connection = await within(node.dial(multiaddr(target)))
        return await visit(connection, node)
      } catch (error) {
        if (tries === 20) throw error
        await pause(250)
      }
    }
  } finally {
    await node.stop()
  }
}

/** Opens a stream, says `bytes`, and listens until the other side hangs up. */
async function talk (connection, protocol, bytes) {
  const begin = Date.now()
  let stream
  try {
    stream = await within(connection.newStream(protocol, { signal: AbortSignal.timeout(PATIENCE) }))
  } catch (error) {
    return { protocol, opened: false, reason: said(error) }
  }
  let heard = ''
  const listen = async () => {
    for await (const chunk of stream) heard += Buffer.from(chunk.subarray()).toString('hex')
  }
  let end = 'closed'
  try {
    if (bytes.length > 0) stream.send(bytes)
    await within(listen())
  } catch (error) {
    end = said(error)
  }
  // Not only the stream but the connection has to end.
  while (connection.status === 'open' && Date.now() < begin + PATIENCE) await pause(20)
  return { protocol, opened: true, heard, end, connection: connection.status, ms: Date.now() - begin }
}

/** What the programs tell anybody. */
async function look (connection, node) {
  const seen = {
    peer: connection.remotePeer.toString(),
    encryption: connection.encryption,
    multiplexer: connection.multiplexer
  }
  try {
    const told = await within(node.services.identify.identify(connection))
    seen.identify = {
      protocols: told.protocols,
      listen: told.listenAddrs.map(String),
      agent: told.agentVersion ?? '',
      family: told.protocolVersion ?? '',
      record: told.signedPeerRecord == null ? [] : told.signedPeerRecord.addresses.map(String)
    }
  } catch (error) {
    seen.identify_error = said(error)
  }
  try {
    seen.ping_ms = await within(node.services.ping.ping(multiaddr(target)))
  } catch (error) {
    seen.ping_error = said(error)
  }
  return seen
}

/** Listens through the target, as behind a relay; the addresses that came of it. */
async function listenThrough () {
  let node
  try {
    node = await within(stranger([`${target}/p2p-circuit`]))
    await pause(500)
    return { addresses: node.getMultiaddrs().map(String) }
  } catch (error) {
    return { addresses: node?.getMultiaddrs().map(String) ?? [], reason: said(error) }
  } finally {
    await node?.stop()
  }
}

/** Dials another through the target. */
async function dialThrough () {
  const node = await stranger()
  try {
    await within(node.dial(multiaddr(`${target}/p2p-circuit/p2p/${through}`)))
    return { connected: true }
  } catch (error) {
    return { connected: false, reason: said(error) }
  } finally {
    await node.stop()
  }
}

// What libp2p does in the background of a closed connection ends nothing here.
process.on('unhandledRejection', () => {})

const report = { ...await knock(look), streams: [] }
for (const protocol of protocols) {
  for (const bytes of [new Uint8Array(), new Uint8Array(64).fill(0xff)]) {
    report.streams.push(await knock((connection) => talk(connection, protocol, bytes)))
  }
}
report.hop = await knock((connection) => talk(connection, HOP, RESERVE))
report.stop = await knock((connection) => talk(connection, STOP, new Uint8Array()))
report.listen_through = await listenThrough()
report.dial_through = await dialThrough()
console.log(JSON.stringify(report, null, 1))
process.exit(0)
