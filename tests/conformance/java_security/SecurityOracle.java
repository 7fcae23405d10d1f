import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.lang.reflect.Constructor;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.CallbackHandler;
import javax.security.auth.callback.NameCallback;
import javax.security.auth.login.AppConfigurationEntry;
import javax.security.auth.login.Configuration;
import org.apache.kafka.common.security.oauthbearer.internals.OAuthBearerClientInitialResponse;
import org.apache.kafka.common.security.oauthbearer.internals.unsecured.OAuthBearerUnsecuredJws;
import org.apache.kafka.common.security.scram.ScramCredential;
import org.apache.kafka.common.security.scram.ScramCredentialCallback;
import org.apache.kafka.common.security.scram.internals.ScramFormatter;
import org.apache.kafka.common.security.scram.internals.ScramMechanism;
import org.apache.kafka.common.security.scram.internals.ScramSaslServer;
import org.apache.kafka.common.security.token.delegation.internals.DelegationTokenCredentialCallback;

/**
 * The broker's side of SASL, and the parser of sasl.jaas.config, by Kafka's own classes.
 *
 * Each line of the input is a question of words, texts and bytes in hexadecimal ("-" if empty); each is answered by a line,
 * "ok" and words, or "error" and what was thrown:
 *
 * scram mechanism user password iterations - ok; begins an exchange
 * step token - ok answer (complete|going) user
 * oauth message - ok token, then name and value of each extension
 * unsecured token - ok principal, expiry in milliseconds
 * jaas text - ok module, then name and value of each option, sorted by name
 */
public final class SecurityOracle {
    private static final HexFormat HEX = HexFormat.of();
    private ScramSaslServer server;

    public static void main(String[] arguments) throws IOException {
        SecurityOracle oracle = new SecurityOracle();
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        PrintStream output = new PrintStream(System.out, false, "UTF-8");
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            output.println(oracle.answer(line.split(" ")));
            output.flush();
        }
    }

    private String answer(String[] words) {
        try {
            return "ok" + switch (words[0]) {
                case "scram" -> scram(words);
                case "step" -> step(bytes(words[1]));
                case "oauth" -> oauth(bytes(words[1]));
                case "unsecured" -> unsecured(text(words[1]));
                case "jaas" -> jaas(text(words[1]));
                default -> throw new IllegalArgumentException(words[0]);
            };
        } catch (Exception | AssertionError thrown) {
            return "error " + thrown.toString().replaceAll("\\s+", " ");
        }
    }

    private String scram(String[] words) throws Exception {
        ScramMechanism mechanism = ScramMechanism.forMechanismName(words[1]);
        ScramCredential credential =
            new ScramFormatter(mechanism).generateCredential(text(words[3]), Integer.parseInt(words[4]));
        String user = text(words[2]);
        CallbackHandler handler = callbacks -> {
            boolean isKnown = false;
            for (Callback callback : callbacks) {
                if (callback instanceof NameCallback name) {
                    isKnown = name.getDefaultName().equals(user);
                } else if (isKnown && callback instanceof DelegationTokenCredentialCallback token) {
                    token.scramCredential(credential);
                    token.tokenOwner("owner");
                } else if (isKnown && callback instanceof ScramCredentialCallback password) {
                    password.scramCredential(credential);
                }
            }
        };
        server = new ScramSaslServer(mechanism, Map.of(), handler);
        return "";
    }

    private String step(byte[] token) throws Exception {
        String answer = hex(server.evaluateResponse(token));
        boolean isComplete = server.isComplete();
        return " " + answer + (isComplete ? " complete " + hex(server.getAuthorizationID()) : " going");
    }

    private static String oauth(byte[] message) throws Exception {
        OAuthBearerClientInitialResponse response = new OAuthBearerClientInitialResponse(message);
        return " " + hex(response.tokenValue()) + pairs(response.extensions().map());
    }

    private static String unsecured(String token) throws Exception {
        OAuthBearerUnsecuredJws jws = new OAuthBearerUnsecuredJws(token, "sub", "scope");
        return " " + hex(jws.principalName()) + " " + hex(Long.toString(jws.lifetimeMs()));
    }

    private static String jaas(String text) throws Exception {
        Constructor<?> constructor = Class.forName("org.apache.kafka.common.security.JaasConfig")
            .getDeclaredConstructor(String.class, String.class);
        constructor.setAccessible(true);
        Configuration configuration;
        try {
            configuration = (Configuration) constructor.newInstance("KafkaClient", text);
        } catch (java.lang.reflect.InvocationTargetException thrown) {
            throw (Exception) thrown.getCause();
        }
        AppConfigurationEntry[] entries = configuration.getAppConfigurationEntry("KafkaClient");
        if (entries.length != 1) { // as JaasContext
            throw new IllegalArgumentException("not one login module");
        }
        return " " + hex(entries[0].getLoginModuleName()) + pairs(entries[0].getOptions());
    }

    private static String pairs(Map<String, ?> map) {
        StringBuilder words = new StringBuilder();
        new TreeMap<>(map).forEach((name, value) ->
            words.append(' ').append(hex(name)).append(' ').append(hex((String) value)));
        return words.toString();
    }

    private static byte[] bytes(String word) {
        return word.equals("-") ? new byte[0] : HEX.parseHex(word);
    }

    private static String text(String word) {
        return new String(bytes(word), StandardCharsets.UTF_8);
    }

    private static String hex(byte[] bytes) {
        return bytes == null || bytes.length == 0 ? "-" : HEX.formatHex(bytes);
    }

    private static String hex(String text) {
        return hex(text.getBytes(StandardCharsets.UTF_8));
    }
}
