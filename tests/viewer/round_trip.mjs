// dicomweb-client and dcmjs, both from npm, ask a DICOMweb server everything that they can ask. Neither was written here.
//
// stdin:  {"url", "headers", "files": [path, ...]}; the files are instances of one series, uncompressed, one frame each
// stdout: what came back, which test_dicomweb_npm.py compares with the files
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';

// A browser's XMLHttpRequest as far as dicomweb-client uses it, over Node's own fetch.
globalThis.XMLHttpRequest = class {
  #headers = {};
  open(method, url) { Object.assign(this, { method, url, readyState: 1 }); }
  setRequestHeader(name, value) { this.#headers[name] = value; }
  getResponseHeader(name) { return this.answer.headers.get(name); }
  getAllResponseHeaders() { return [...this.answer.headers].map(pair => pair.join(': ')).join('\r\n'); }
  async send(body) {
    this.answer = await fetch(this.url, { method: this.method, headers: this.#headers, body });
    const bytes = await this.answer.arrayBuffer();
    const text = () => new TextDecoder().decode(bytes);
    this.status = this.answer.status;
    this.response = this.responseType === 'arraybuffer' ? bytes : this.responseType !== 'json' ? text() : bytes.byteLength ? JSON.parse(text()) : null;
    this.readyState = 4;
    this.onreadystatechange();
  }
};
console.debug = () => {};

const { api } = (await import('dicomweb-client')).default;
const { data } = (await import('dcmjs')).default;
const asked = JSON.parse(readFileSync(0, 'utf8'));
const client = new api.DICOMwebClient({ url: asked.url, headers: asked.headers, verbose: false });

const hash = bytes => createHash('sha256').update(new Uint8Array(bytes)).digest('hex');
const tag = (dataset, name) => dataset[name]?.Value?.[0];
const read = bytes => {
  const file = data.DicomMessage.readFile(bytes);
  const dataset = data.DicomMetaDictionary.naturalizeDataset(file.dict);
  return {
    sop: dataset.SOPInstanceUID, name: String(dataset.PatientName), rows: dataset.Rows,
    syntax: tag(file.meta, '00020010'), pixels: hash(file.dict['7FE00010'].Value[0]),
  };
};
const picture = bytes => ({ start: Buffer.from(bytes.slice(0, 4)).toString('hex'), size: bytes.byteLength });
const refused = promise => promise.then(() => 0, error => error.status);

const bytes = asked.files.map(path => { const one = readFileSync(path); return one.buffer.slice(one.byteOffset, one.byteOffset + one.byteLength); });
const first = data.DicomMetaDictionary.naturalizeDataset(data.DicomMessage.readFile(bytes[0]).dict);
const studyInstanceUID = first.StudyInstanceUID;
const seriesInstanceUID = first.SeriesInstanceUID;
const sopInstanceUID = first.SOPInstanceUID;
const study = { studyInstanceUID };
const series = { ...study, seriesInstanceUID };
const instance = { ...series, sopInstanceUID };
const frame = { ...instance, frameNumbers: [1] };

const receipt = JSON.parse(await client.storeInstances({ datasets: bytes.slice(0, 1), ...study }));
const rest = JSON.parse(await client.storeInstances({ datasets: bytes.slice(1) }));
const metadata = await client.retrieveInstanceMetadata(instance);
const bulk = metadata[0]['7FE00010'].BulkDataURI;
const other = { ...instance, sopInstanceUID: '1.2.3' };

console.log(JSON.stringify({
  stored: [receipt, rest].map(one => one['00081199'].Value.length),
  search: {
    studies: (await client.searchForStudies({ queryParams: { StudyInstanceUID: studyInstanceUID } })).map(one => tag(one, '0020000D')),
    allSeries: (await client.searchForSeries({ queryParams: { StudyInstanceUID: studyInstanceUID } })).map(one => tag(one, '0020000E')),
    series: (await client.searchForSeries(study)).map(one => tag(one, '0020000E')),
    allInstances: (await client.searchForInstances({ queryParams: { SeriesInstanceUID: seriesInstanceUID } })).map(one => tag(one, '00080018')),
    ofStudy: (await client.searchForInstances(study)).map(one => tag(one, '00080018')),
    ofSeries: (await client.searchForInstances({ ...series, queryParams: { limit: 2, offset: 1 } })).map(one => tag(one, '00080018')),
    nothing: await client.searchForStudies({ queryParams: { StudyInstanceUID: '1.2.3' } }),
    names: (await client.searchForStudies({ queryParams: { PatientName: String(tag(metadata[0], '00100010').Alphabetic).toLowerCase(), includefield: 'all' } })).map(one => tag(one, '0020000D')),
  },
  metadata: {
    study: (await client.retrieveStudyMetadata(study)).map(one => tag(one, '00080018')),
    series: (await client.retrieveSeriesMetadata(series)).map(one => tag(one, '00080018')),
    natural: data.DicomMetaDictionary.naturalizeDataset(metadata[0]).PatientName.toString(),
  },
  instance: read(await client.retrieveInstance(instance)),
  series: (await client.retrieveSeries(series)).map(read),
  study: (await client.retrieveStudy(study)).map(read),
  bulk: (await client.retrieveBulkData({ BulkDataURI: bulk })).map(hash),
  frames: {
    plain: (await client.retrieveInstanceFrames(frame)).map(hash),
    stored: (await client.retrieveInstanceFrames({ ...frame, mediaTypes: [{ mediaType: 'application/octet-stream', transferSyntaxUID: '1.2.840.10008.1.2.1' }] })).map(hash),
    either: (await client.retrieveInstanceFrames({ ...frame, mediaTypes: [
      { mediaType: 'image/jls', transferSyntaxUID: '1.2.840.10008.1.2.4.80' },
      { mediaType: 'application/octet-stream', transferSyntaxUID: '1.2.840.10008.1.2.1' }] })).map(hash),
  },
  pictures: {
    instance: (await client.retrieveInstanceRendered(instance)).map(picture),
    png: (await client.retrieveInstanceRendered({ ...instance, mediaTypes: [{ mediaType: 'image/png' }], queryParams: { viewport: '64,64' } })).map(picture),
    frame: (await client.retrieveInstanceFramesRendered({ ...frame, mediaTypes: [{ mediaType: 'image/jpeg' }], queryParams: { quality: 50 } })).map(picture),
    thumbnail: (await client.retrieveInstanceThumbnail(instance)).map(picture),
    frameThumbnail: (await client.retrieveInstanceFramesThumbnail(frame)).map(picture),
  },
  refused: {
    missing: await refused(client.retrieveInstance(other)),
    frame: await refused(client.retrieveInstanceFrames({ ...instance, frameNumbers: [7] })),
    changed: await refused(client.storeInstances({ datasets: [new Uint8Array(300).buffer] })),
    key: await refused(client.searchForStudies({ queryParams: { Nonsense: '1' } })),
  },
}));
