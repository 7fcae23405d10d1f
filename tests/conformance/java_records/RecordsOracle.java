import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.Iterator;
import java.util.List;
import org.apache.kafka.common.compress.Compression;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.record.TimestampType;
import org.apache.kafka.common.record.internal.AbstractRecords;
import org.apache.kafka.common.record.internal.CompressionType;
import org.apache.kafka.common.record.internal.ControlRecordType;
import org.apache.kafka.common.record.internal.DefaultRecordBatch;
import org.apache.kafka.common.record.internal.EndTransactionMarker;
import org.apache.kafka.common.record.internal.MemoryRecords;
import org.apache.kafka.common.record.internal.MemoryRecordsBuilder;
import org.apache.kafka.common.record.internal.MutableRecordBatch;
import org.apache.kafka.common.record.internal.Record;
import org.apache.kafka.common.record.internal.RecordBatch;
import org.apache.kafka.common.utils.BufferSupplier;
import org.apache.kafka.common.utils.CloseableIterator;

/**
 * Kafka's own record classes, asked line by line: a command and its arguments, separated by spaces. Each line is answered with one
 * line, "ok ..." or "error ...". Bytes are hex, null is "-". A record is timestamp:key:value:headers, where headers are
 * name=value, each followed by "&".
 */
public class RecordsOracle {
    private static final HexFormat HEX = HexFormat.of();

    public static void main(String[] arguments) throws Exception {
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.US_ASCII), 1 << 20);
        PrintStream output = new PrintStream(System.out, false, StandardCharsets.US_ASCII);
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String answer;
            try {
                answer = "ok " + answer(line.split(" ", -1));
            } catch (Exception error) {
                answer = "error " + error.toString().replace('\n', ' ');
            }
            output.println(answer);
            output.flush();
        }
    }

    private static String answer(String[] words) {
        switch (words[0]) {
            case "read": return read(words);
            case "write": return write(words);
            case "append": return append(words);
            case "marker": return marker(words);
            case "bound": return bound(words);
            default: throw new IllegalArgumentException("unknown command " + words[0]);
        }
    }

    // read <batches> : every batch is checked and read in each of the ways that brokers and consumers do
    private static String read(String[] words) {
        StringBuilder answer = new StringBuilder();
        for (MutableRecordBatch batch : MemoryRecords.readableRecords(ByteBuffer.wrap(HEX.parseHex(words[1]))).batches()) {
            batch.ensureValid();
            List<String> records = new ArrayList<>();
            for (Record record : batch) {
                record.ensureValid();
                records.add(describe(record));
            }
            List<String> streamed = new ArrayList<>();
            try (CloseableIterator<Record> iterator = batch.streamingIterator(BufferSupplier.create())) {
                iterator.forEachRemaining(record -> streamed.add(describe(record)));
            }
            if (!streamed.equals(records)) throw new IllegalStateException("the streaming iterator reads something else");
            int skipped = 0;
            try (CloseableIterator<Record> iterator =
                    ((DefaultRecordBatch) batch).skipKeyValueIterator(BufferSupplier.create())) {
                for (; iterator.hasNext(); iterator.next()) skipped++;
            }
            if (skipped != records.size()) throw new IllegalStateException("the skipping iterator reads something else");
            answer.append(String.join(",", List.of(
                "" + batch.baseOffset(), "" + batch.lastOffset(), "" + batch.partitionLeaderEpoch(), "" + batch.checksum(),
                "" + batch.compressionType().id, "" + batch.timestampType().id, "" + batch.maxTimestamp(),
                "" + batch.producerId(), "" + batch.producerEpoch(), "" + batch.baseSequence(), "" + batch.lastSequence(),
                "" + batch.isTransactional(), "" + batch.isControlBatch(), "" + batch.countOrNull(), "" + batch.sizeInBytes())));
            answer.append(';').append(String.join(";", records)).append(' ');
        }
        return answer.toString().trim();
    }

    // write <codec id> <level or -> <LogAppendTime or -> <base offset> <producer id> <epoch> <sequence> <transactional> <record>...
    private static String write(String[] words) {
        boolean create = words[3].equals("-");
        MemoryRecordsBuilder builder = MemoryRecords.builder(
            ByteBuffer.allocate(512), RecordBatch.MAGIC_VALUE_V2, compression(Integer.parseInt(words[1]), words[2]),
            create ? TimestampType.CREATE_TIME : TimestampType.LOG_APPEND_TIME, Long.parseLong(words[4]),
            create ? RecordBatch.NO_TIMESTAMP : Long.parseLong(words[3]), Long.parseLong(words[5]),
            Short.parseShort(words[6]), Integer.parseInt(words[7]), Boolean.parseBoolean(words[8]), -1);
        for (int index = 9; index < words.length; index++) {
            String[] parts = words[index].split(":", -1);
            builder.append(Long.parseLong(parts[0]), bytes(parts[1]), bytes(parts[2]), headers(parts[3]));
        }
        MemoryRecords records = builder.build();
        return hex(records.buffer());
    }

    // append <batch> <last offset> <leader epoch> <LogAppendTime or ->
    private static String append(String[] words) {
        ByteBuffer buffer = ByteBuffer.wrap(HEX.parseHex(words[1]));
        Iterator<MutableRecordBatch> batches = MemoryRecords.readableRecords(buffer).batches().iterator();
        MutableRecordBatch batch = batches.next();
        batch.setLastOffset(Long.parseLong(words[2]));
        batch.setPartitionLeaderEpoch(Integer.parseInt(words[3]));
        if (!words[4].equals("-")) batch.setMaxTimestamp(TimestampType.LOG_APPEND_TIME, Long.parseLong(words[4]));
        return hex(buffer);
    }

    // marker <producer id> <epoch> <base offset> <commit> <coordinator epoch> <timestamp> <leader epoch>
    private static String marker(String[] words) {
        ControlRecordType type = Boolean.parseBoolean(words[4]) ? ControlRecordType.COMMIT : ControlRecordType.ABORT;
        return hex(MemoryRecords.withEndTransactionMarker(
            Long.parseLong(words[3]), Long.parseLong(words[6]), Integer.parseInt(words[7]), Long.parseLong(words[1]),
            Short.parseShort(words[2]), new EndTransactionMarker(type, Integer.parseInt(words[5]))).buffer());
    }

    // bound <record> : the timestamp does not matter
    private static String bound(String[] words) {
        String[] parts = words[1].split(":", -1);
        return "" + AbstractRecords.estimateSizeInBytesUpperBound(
            RecordBatch.MAGIC_VALUE_V2, CompressionType.NONE, bytes(parts[1]), bytes(parts[2]), headers(parts[3]));
    }

    private static Compression compression(int codec, String level) {
        CompressionType type = CompressionType.forId(codec);
        if (level.equals("-")) return Compression.of(type).build();
        switch (type) {
            case GZIP: return Compression.gzip().level(Integer.parseInt(level)).build();
            case LZ4: return Compression.lz4().level(Integer.parseInt(level)).build();
            case ZSTD: return Compression.zstd().level(Integer.parseInt(level)).build();
            default: throw new IllegalArgumentException(type + " has no levels");
        }
    }

    private static String describe(Record record) {
        StringBuilder text = new StringBuilder();
        text.append(record.offset()).append(':').append(record.timestamp()).append(':');
        text.append(record.hasKey() ? hex(record.key()) : "-").append(':');
        text.append(record.hasValue() ? hex(record.value()) : "-").append(':');
        for (Header header : record.headers()) {
            text.append(HEX.formatHex(header.key().getBytes(StandardCharsets.UTF_8))).append('=');
            text.append(header.value() == null ? "-" : HEX.formatHex(header.value())).append('&');
        }
        return text.append(':').append(record.sizeInBytes()).toString();
    }

    private static Header[] headers(String text) {
        List<Header> headers = new ArrayList<>();
        for (String pair : text.isEmpty() ? new String[0] : text.substring(0, text.length() - 1).split("&")) {
            String[] parts = pair.split("=", -1);
            headers.add(new RecordHeader(new String(HEX.parseHex(parts[0]), StandardCharsets.UTF_8), bytes(parts[1])));
        }
        return headers.toArray(new Header[0]);
    }

    private static byte[] bytes(String text) {
        return text.equals("-") ? null : HEX.parseHex(text);
    }

    private static String hex(ByteBuffer buffer) {
        byte[] copy = new byte[buffer.remaining()];
        buffer.duplicate().get(copy);
        return HEX.formatHex(copy);
    }
}
