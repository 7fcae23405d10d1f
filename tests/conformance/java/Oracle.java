import com.fasterxml.jackson.databind.JsonNode;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Method;
import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.Map;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.Message;
import org.apache.kafka.common.protocol.MessageUtil;
import org.apache.kafka.common.protocol.Readable;

/**
 * Decodes messages with the classes that Kafka generates from its schemas, and says what it saw.
 *
 * Each line of the input is a message: class ("ProduceRequest"), version, the body in hexadecimal ("-" if empty). Each is
 * answered by a line: "ok", the body as Kafka encodes what it has decoded, and that as JSON; or "error" and what was thrown.
 * A line "headers", version, api key is answered by "ok", the version of the request's header, that of the response's.
 */
public final class Oracle {
    private static final HexFormat HEX = HexFormat.of();
    private final Map<String, Codec> codecs = new HashMap<>();

    /** The methods of one generated class. */
    private record Codec(Class<?> data, Method toJson) {
        static Codec of(String name) throws ReflectiveOperationException {
            Class<?> data = Class.forName("org.apache.kafka.common.message." + name + "Data");
            Class<?> converter = Class.forName(data.getName() + "JsonConverter");
            return new Codec(data, converter.getMethod("write", data, short.class, boolean.class));
        }

        Message decode(ByteBuffer body, short version) throws ReflectiveOperationException {
            Object message = data.getConstructor(Readable.class, short.class).newInstance(new ByteBufferAccessor(body), version);
            return (Message) message;
        }

        JsonNode json(Message message, short version) throws ReflectiveOperationException {
            return (JsonNode) toJson.invoke(null, message, version, false); // records: their size only
        }
    }

    public static void main(String[] arguments) throws IOException {
        Oracle oracle = new Oracle();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        PrintStream output = new PrintStream(System.out, false, "UTF-8");
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            output.println(oracle.answer(line.split(" ")));
            output.flush();
        }
    }

    private String answer(String[] words) {
        try {
            if (words[0].equals("headers")) {
                return headers(Short.parseShort(words[1]), Short.parseShort(words[2]));
            }
            Codec codec = codecs.get(words[0]);
            if (codec == null) {
                codec = Codec.of(words[0]);
                codecs.put(words[0], codec);
            }
            return seen(codec, Short.parseShort(words[1]), ByteBuffer.wrap(words[2].equals("-") ? new byte[0] : HEX.parseHex(words[2])));
        } catch (InvocationTargetException error) {
            return "error " + error.getCause();
        } catch (ReflectiveOperationException | RuntimeException error) {
            return "error " + error;
        }
    }

    private static String headers(short version, short apiKey) {
        ApiMessageType type = ApiMessageType.fromApiKey(apiKey);
        return "ok " + type.requestHeaderVersion(version) + " " + type.responseHeaderVersion(version);
    }

    private static String seen(Codec codec, short version, ByteBuffer body) throws ReflectiveOperationException {
        Message message = codec.decode(body, version);
        if (body.hasRemaining()) {
            return "error " + body.remaining() + " bytes are left over";
        }
        JsonNode json = codec.json(message, version);
        ByteBuffer again = MessageUtil.toByteBufferAccessor(message, version).buffer();
        byte[] bytes = new byte[again.remaining()];
        again.get(bytes);
        return "ok " + (bytes.length == 0 ? "-" : HEX.formatHex(bytes)) + " " + json;
    }
}
