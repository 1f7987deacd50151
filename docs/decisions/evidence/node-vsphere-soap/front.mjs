// A TLS front before the simulator. The library asks for a WSDL and posts to the address that it names; the simulator serves none. The
// front answers GET with a WSDL of the four operations used here and passes every POST on, unchanged but for one thing: the library
// names `_this` without a type, which a vCenter forgives for the two service objects and the simulator does not.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer, request } from 'node:https';
import { join } from 'node:path';

const operations = {
  RetrieveServiceContent: [],
  Login: ['userName', 'password'],
  Logout: [],
  RelocateVM_Task: ['spec'],
};

const each = (make) => Object.entries(operations).map(([name, parts]) => make(name, parts)).join('');

const wsdl = `<?xml version="1.0"?>
<definitions targetNamespace="urn:vim25Service" xmlns="http://schemas.xmlsoap.org/wsdl/" xmlns:s="urn:vim25Service"
  xmlns:v="urn:vim25" xmlns:x="http://www.w3.org/2001/XMLSchema" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/">
<types><x:schema targetNamespace="urn:vim25" elementFormDefault="qualified">${each(
  (name, parts) =>
    `<x:element name="${name}"><x:complexType><x:sequence>${['_this', ...parts]
      .map((part) => `<x:element name="${part}" type="x:anyType"/>`)
      .join('')}</x:sequence></x:complexType></x:element>
<x:element name="${name}Response"><x:complexType><x:sequence><x:element name="returnval" type="x:anyType" minOccurs="0"/></x:sequence></x:complexType></x:element>`,
)}</x:schema></types>
${each((name) => `<message name="${name}Ask"><part name="parameters" element="v:${name}"/></message><message name="${name}Answer"><part name="parameters" element="v:${name}Response"/></message>`)}
<portType name="Port">${each((name) => `<operation name="${name}"><input message="s:${name}Ask"/><output message="s:${name}Answer"/></operation>`)}</portType>
<binding name="Binding" type="s:Port"><soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>${each(
  (name) =>
    `<operation name="${name}"><soap:operation soapAction="urn:vim25/6.7" style="document"/><input><soap:body use="literal"/></input><output><soap:body use="literal"/></output></operation>`,
)}</binding>
<service name="VimService"><port name="VimPort" binding="s:Binding"><soap:address location="https://localhost/sdk/vimService"/></port></service>
</definitions>`;

export async function startFront(simulator, folder) {
  const made = spawnSync('openssl', [
    ...['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '1', '-subj', '/CN=localhost'],
    ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'certificate.pem')],
  ]);
  if (made.status !== 0) throw new Error('openssl is needed for a certificate');
  const behind = new URL(simulator.sdk);
  const server = createServer(
    { key: readFileSync(join(folder, 'key.pem')), cert: readFileSync(join(folder, 'certificate.pem')) },
    async (asked, answer) => {
      if (asked.method === 'GET') return answer.setHeader('content-type', 'text/xml').end(wsdl);
      const chunks = [];
      for await (const chunk of asked) chunks.push(chunk);
      const body = Buffer.concat(chunks)
        .toString()
        .replace(/<((?:\w+:)?_this)>(ServiceInstance|SessionManager)</, '<$1 type="$2">$2<');
      const headers = { 'content-type': 'text/xml' };
      if (asked.headers.cookie) headers.cookie = asked.headers.cookie;
      const on = request(
        { host: behind.hostname, port: behind.port, path: '/sdk', method: 'POST', ca: simulator.ca, headers },
        (reply) => {
          const cookie = reply.headers['set-cookie'];
          answer.writeHead(reply.statusCode, { 'content-type': 'text/xml', ...(cookie && { 'set-cookie': cookie }) });
          reply.pipe(answer);
        },
      );
      on.once('error', () => answer.destroy());
      on.end(body);
    },
  );
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    address: `127.0.0.1:${server.address().port}`,
    stop: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}
